"""Digests of splits, by which processes and resumed runs compare their data."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import hashlib
import io
from typing import BinaryIO

from etils import epath
import numpy as np

from inception_jax.data import places

# Of a million files, the sizes would take three seconds, and more over a
# network: beyond these numbers, they are of evenly spaced files. By names and
# sizes alone, files of equal size could change places.
_SIZES, _CONTENTS = 100_000, 100
_END = 4096


def digest(names: Iterable[str], *columns) -> str:
  """Returns a SHA-256 of names, and of arrays of numbers or of bytes."""
  # No path has a zero byte; some have bytes that are not UTF-8.
  sha = hashlib.sha256('\0'.join(names).encode(errors='surrogateescape'))
  for column in columns:
    array = np.ascontiguousarray(column)
    if array.dtype == object:
      array = np.frombuffer(b'\0'.join(array), np.uint8)
    sha.update(f'\0{array.dtype.str}{array.shape}'.encode())
    sha.update(array.data)
  return sha.hexdigest()


def sizes(paths: Sequence[str]) -> np.ndarray:
  """Returns the sizes of files in bytes, int64; -1 for missing ones.

  And where they are not known, in buckets. Of more than 100,000 files, it
  takes evenly spaced ones.
  """

  def size(path):
    try:
      return _size(path)
    except OSError:  # reported when it is read
      return -1

  return np.fromiter(map(size, _some(paths, _SIZES)), np.int64)


def ends(paths: Sequence[str]) -> np.ndarray:
  """Returns the first and the last bytes of up to 100 of the files, uint8.

  Of files in a bucket, a digest of the versions of all.
  """
  content = bytearray()
  if versions := places.versions(paths):
    versions = hashlib.sha256(b'\0'.join(versions)).digest()
    return np.frombuffer(versions, np.uint8)
  for path in _some(paths, _CONTENTS):
    with _open(path) as (file, size):
      content += file.read(_END)
      file.seek(max(0, size - _END))
      content += file.read(_END)
  return np.frombuffer(content, np.uint8)


@contextlib.contextmanager
def _open(path: str) -> Iterator[tuple[BinaryIO, int]]:
  """Yields a file and its size; one that is none, or damaged, is empty."""
  try:
    size = _size(path)
    if places.within(path):
      opened = places.open_file(path)
    elif epath.Path(path).is_file():  # opening a pipe would block
      opened = epath.Path(path).open('rb')
    else:
      opened, size = io.BytesIO(), 0
  except OSError:  # reported when it is read
    opened, size = io.BytesIO(), 0
  with opened as file:
    yield file, size


def _size(path: str) -> int:
  if '://' in path:  # of tfds, by TensorFlow's file system
    return epath.Path(path).stat().length
  return places.size(path)


def _some(paths: Sequence[str], count: int) -> Sequence[str]:
  return paths[:: -(-len(paths) // count) or 1]
