"""Flips single bits of files."""

import struct


def flip(path, offset, bit=0):
  """Flips one bit of a file, at an offset from its start or its end."""
  content = bytearray(path.read_bytes())
  content[offset] ^= 1 << bit
  path.write_bytes(content)


def begins(path):
  """Returns where the data of each record of a sound TFRecord file begin."""
  content, found, at = path.read_bytes(), [], 0
  while at < len(content):
    found.append(at + 12)
    at += struct.unpack_from('<Q', content, at)[0] + 16
  return found
