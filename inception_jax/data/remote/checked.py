"""Files with a checksum of their content in front."""

import hashlib
import pathlib

from inception_jax.runtime import files

_LENGTH = 64


def pack(content: bytes) -> bytes:
  """Returns a content with its SHA-256, in hexadecimal, in front."""
  return hashlib.sha256(content).hexdigest().encode() + content


def unpack(packed: bytes) -> bytes:
  """Returns the content.

  Raises:
    ValueError: it is another one than was packed.
  """
  content = packed[_LENGTH:]
  if hashlib.sha256(content).hexdigest().encode() != packed[:_LENGTH]:
    raise ValueError('its checksum is wrong')
  return content


def write(path: str, packed: bytes) -> None:
  """Writes what `pack` returns; several processes may at once."""
  with files.atomic_path(path, replace=True) as unfinished:
    pathlib.Path(unfinished).write_bytes(packed)


def read(path: str) -> bytes | None:
  """Returns the content of a file of `write`; None if there is none.

  Raises:
    ValueError: it is damaged.
  """
  try:
    return unpack(pathlib.Path(path).read_bytes())
  except FileNotFoundError:
    return None
