"""Strangers' .zip files, read in place as if they were folders.

A path may lead into an archive, as `DATA/photos.zip/train/cat/1.jpg`. The index
is read once; each file is then read from its offset, by any thread, and
compared with its size and checksum.
"""

from collections.abc import Callable
import errno
import functools
import io
import os
import re
import struct
from typing import BinaryIO
from typing import NamedTuple
import weakref
import zipfile
import zlib

import numpy as np

from inception_jax import errors
from inception_jax.data import zip_index
from inception_jax.runtime import files as files_lib

_SUFFIX = re.compile(r'\.zip(?=/|$)', re.IGNORECASE)
_LOCAL = struct.Struct('<4s2xHH16xHH')  # signature, flags, method, two lengths
_MAX_BYTES = 2**28  # of one file that is read into memory


class Entry(NamedTuple):
  """What `os.DirEntry` is, for a file or folder in an archive."""

  name: str
  path: str
  number: int | None  # None: a folder

  def is_dir(self) -> bool:
    """Returns whether it is a folder."""
    return self.number is None

  def is_file(self) -> bool:
    """Returns whether it is a file."""
    return self.number is not None


class Archive:
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
    # {name: number of a file, or a folder of the same form}
    self._tree = {}
    numbers = iter(range(len(found)))
    for _, (*parents, name), _ in members:
      folder = self._tree
      for parent in parents:
        folder = folder.setdefault(parent, {})
      if name:
        folder[name] = next(numbers)

  def find(self, inner: str) -> dict | int | None:
    """Returns a folder, the number of a file, or None for a path in it."""
    found = self._tree
    for part in filter(None, inner.split('/')):
      found = found.get(part) if isinstance(found, dict) else None
    return found

  def number(self, inner: str) -> int:
    """Returns the number of a file, or raises OSError."""
    if isinstance(number := self.find(inner), int):
      return number
    raise _missing(f'{self.path}/{inner}')

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

  def entries(self, inner: str, path: str) -> list[Entry]:
    """Returns what is in a folder, whose path with the archive's is `path`."""
    folder = self.find(inner)
    if not isinstance(folder, dict):
      raise _missing(path)
    return [
      Entry(name, f'{path}/{name}', None if isinstance(x, dict) else x)
      for name, x in folder.items()
    ]


def within(path: str) -> tuple[Archive, str] | None:
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


def scan(folder: str) -> list[os.DirEntry | Entry]:
  """Returns what is in a folder, or raises OSError as `os.scandir`."""
  if found := within(folder):
    return found[0].entries(found[1], folder)
  with os.scandir(folder) as entries:
    return list(entries)


def is_folder(path: str | os.PathLike) -> bool:
  """Returns whether a folder is at a path; an archive is one."""
  if found := within(str(path)):
    return isinstance(found[0].find(found[1]), dict)
  return os.path.isdir(path)


def exists(path: str | os.PathLike) -> bool:
  """Returns whether anything is at a path."""
  if found := within(str(path)):
    return found[0].find(found[1]) is not None
  return os.path.exists(path)


def size(path: str) -> int:
  """Returns the size of a file in bytes, or raises OSError."""
  if found := within(path):
    return int(found[0].sizes[found[0].number(found[1])])
  return os.stat(path).st_size


def read(path: str) -> bytes:
  """Returns the content of a regular file.

  Raises:
    OSError: it cannot be read, or is damaged.
  """
  if not (found := within(path)):
    return files_lib.read(path)
  archive, inner = found
  try:
    return archive.read(archive.number(inner))
  except ValueError as error:
    raise OSError(errno.EIO, str(error), path) from error


def open_file(path: str) -> BinaryIO:
  """Opens a regular file, or raises OSError; one in an archive is read."""
  if within(path):
    return io.BytesIO(read(path))
  return open(path, 'rb', opener=files_lib.regular)


def reader(
  paths: list[str],
) -> tuple[Callable[[int], bytes], np.ndarray] | None:
  """Returns a function that reads an archive, and the numbers of files in it.

  None if no path leads into an archive.

  Raises:
    UserError: other paths lead elsewhere.
  """
  first = next(filter(_SUFFIX.search, paths), '')
  if not (found := within(first)):
    return None
  archive, _ = found
  start = f'{archive.path}/'
  numbers = [
    archive.find(path[len(start) :]) if path.startswith(start) else None
    for path in paths
  ]
  if others := [
    f'{path} is not a file in {archive.path}'
    for path, number in zip(paths, numbers, strict=True)
    if not isinstance(number, int)
  ]:
    raise errors.UserError(*errors.shorten(others))
  return archive.read, np.array(numbers, np.int64)


def _missing(path: str) -> OSError:
  return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
