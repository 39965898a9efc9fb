"""Zip archives as other programs, and nobody's programs, write them."""

import pathlib
import struct
import zipfile
import zlib


def pack(path, folder, top='', method=zipfile.ZIP_STORED):
  """Writes a folder's files into a .zip, in no particular order."""
  files = [p for p in pathlib.Path(folder).rglob('*') if p.is_file()]
  with zipfile.ZipFile(path, 'w', method) as archive:
    for file in sorted(files, key=lambda p: zlib.crc32(bytes(p))):
      archive.write(file, f'{top}{file.relative_to(folder)}')
  return path


def entry(
  name, content=b'x', *, method=0, flags=0, mode=0, system=3, size=None,
  crc=None, offset=None, packed=None,
):  # fmt: skip
  """Returns what `raw` writes; `size`, `crc` and `offset` may be lies."""
  if packed is None:
    packed = content
    if method == zipfile.ZIP_DEFLATED:
      compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
      packed = compressor.compress(content) + compressor.flush()
  name = name if isinstance(name, bytes) else name.encode()
  size = len(content) if size is None else size
  crc = zlib.crc32(content) if crc is None else crc
  return name, packed, size, crc, (method, flags, mode, system, offset)


def raw(*entries):
  """Returns the bytes of a .zip with these entries, right or wrong."""
  body, index = b'', b''
  for name, packed, size, crc, (method, flags, mode, system, at) in entries:
    at = len(body) if at is None else at
    common = struct.pack(
      *('<HHHHIIIHH', flags, method, 0, 33, crc, len(packed), size),
      *(len(name), 0),
    )
    body += b'PK\3\4' + struct.pack('<H', 20) + common + name + packed
    index += b'PK\1\2' + struct.pack('<BBH', 20, system, 20) + common
    index += struct.pack('<HHHII', 0, 0, 0, mode << 16, at) + name
  end = struct.pack(
    *('<4s4H2IH', b'PK\5\6', 0, 0, len(entries), len(entries)),
    *(len(index), len(body), 0),
  )
  return body + index + end
