"""Strangers' .zip files, read in place as if they were folders.

A path may lead into an archive, as `DATA/photos.zip/train/cat/1.jpg`. The index
is read once; each file is then read from its offset, by any thread, and
compared with its size and checksum.
"""

import functools
import os
import re
import struct
import weakref
import zipfile
import zlib

import numpy as np

from inception_jax import errors
from inception_jax.data import virtual
from inception_jax.data import zip_index
from inception_jax.runtime import files as files_lib

_SUFFIX = re.compile(r'\.zip(?=/|$)', re.IGNORECASE)
_LOCAL = struct.Struct('<4s2xHH16xHH')  # signature, flags, method, two lengths
_MAX_BYTES = 2**28  # of one file that is read into memory


class Archive(virtual.Tree):
  """The index of a .zip, and an open file to read from.

  Attributes:
    path: of the .zip.
    sizes: int64 [N], of the files when unpacked.
  """

  def __init__(self, path: str):
    """Reads the index.

    Raises:
      UserError: as `zip_index.read`.
    """
    super().__init__()
    self.path = path
    try:
      self._descriptor = files_lib.regular(path, os.O_RDONLY)
    except OSError as error:
      raise errors.UserError(
        f'{path} cannot be read: {error.strerror}'
      ) from error
    closed = weakref.finalize(self, os.close, self._descriptor)
    closed.atexit = False  # threads may still be reading
    with open(self._descriptor, 'rb', closefd=False) as file:
      members = zip_index.read(file, path)
    found = [member for member in members if member.parts[-1]]
    column = lambda values: np.fromiter(values, np.int64, len(found))
    self.sizes = column(info.file_size for info, _, _ in found)
    self._begins = column(info.header_offset for info, _, _ in found)
    self._ends = column(end for _, _, end in found)
    self._packed = column(info.compress_size for info, _, _ in found)
    self._crcs = column(info.CRC for info, _, _ in found)
    self._methods = column(info.compress_type for info, _, _ in found)
    numbers = iter(range(len(found)))
    for _, parts, _ in members:
      self.add(parts, next(numbers) if parts[-1] else None)

  def read(self, number: int) -> bytes:
    """Returns the content of a file; any thread may call this.

    Raises:
      ValueError: it is damaged, or too large.
    """
    size, packed = int(self.sizes[number]), int(self._packed[number])
    if size > _MAX_BYTES:
      raise ValueError(f'{size} bytes are too many')
    begin, end = int(self._begins[number]), int(self._ends[number])
    most = _LOCAL.size + 2 * 0xFFFF + packed
    block = os.pread(self._descriptor, min(end - begin, most), begin)
    if len(block) < _LOCAL.size:
      raise ValueError('the archive is truncated')
    signature, flags, method, *lengths = _LOCAL.unpack_from(block)
    expected = (zipfile.stringFileHeader, 0, self._methods[number])
    if (signature, flags & zip_index.ENCRYPTED, method) != expected:
      raise ValueError('its header in the archive is damaged')
    start = _LOCAL.size + sum(lengths)
    content = block[start : start + packed]
    if method == zipfile.ZIP_DEFLATED:
      inflater = zlib.decompressobj(-zlib.MAX_WBITS)
      try:
        content = inflater.decompress(content, size + 1)
      except zlib.error as error:
        raise ValueError(f'its compressed data are damaged: {error}') from None
    if len(content) != size or zlib.crc32(content) != self._crcs[number]:
      raise ValueError('its size or checksum is not that in the archive')
    return content


def of(path: str) -> tuple[Archive, str] | None:
  """Returns the archive that a path is or leads into, and the path in it.

  Raises:
    UserError: as `Archive`.
  """
  for match in _SUFFIX.finditer(path):
    archive = path[: match.end()]
    if os.path.isfile(archive):
      state = os.stat(archive)
      version = (state.st_ino, state.st_mtime_ns, state.st_size)
      return _open(archive, version), path[match.end() + 1 :]
  return None


@functools.lru_cache(maxsize=2)
def _open(path: str, version) -> Archive:
  del version  # a file that has changed is read anew
  return Archive(path)
