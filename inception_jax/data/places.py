"""Paths of data: on a disk, in a .zip, or in a bucket.

All sources list, look at and read files by these functions. Paths on disks are
read by the system; for the others there is a `virtual.Tree`.
"""

from collections.abc import Callable
from concurrent import futures
import errno
import io
import os
from typing import BinaryIO

import numpy as np

from inception_jax import errors
from inception_jax.data import virtual
from inception_jax.data import zips
from inception_jax.data.remote import mounts
from inception_jax.data.remote import shards
from inception_jax.data.remote.index import Table
from inception_jax.data.remote.mounts import Mounted
from inception_jax.runtime import files as files_lib

_THREADS = 16  # that read local shards


def within(path: str) -> tuple[virtual.Tree, str] | None:
  """Returns the archive or bucket that a path is or leads into, and the rest.

  Raises:
    UserError: an archive cannot be read.
  """
  return mounts.of(path) or zips.of(path)


def scan(folder: str) -> list[os.DirEntry | virtual.Entry]:
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


def is_unpacked(path: str | os.PathLike) -> bool:
  """Returns whether a folder is at a path that is no archive or in one."""
  if found := mounts.of(str(path)):
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


def open_file(path: str, keep: bool = True) -> BinaryIO:
  """Opens a regular file, or raises OSError.

  One in an archive or a bucket is read first. With `keep`, the local cache
  gets a copy of one in a bucket.
  """
  found = within(path)
  if not found or (isinstance(found[0], zips.Archive) and not found[1]):
    return open(path, 'rb', opener=files_lib.regular)
  if keep and isinstance(found[0], Mounted):
    return found[0].open_copy(found[0].number(found[1]))
  return io.BytesIO(read(path))


def reader(
  paths: list[str],
) -> tuple[virtual.Tree, np.ndarray] | None:
  """Returns the archive or bucket of files, and their numbers in it.

  None if no path leads into one.

  Raises:
    UserError: other paths lead elsewhere.
  """
  found = (within(path) for path in paths)
  if not (first := next(filter(None, found), None)):
    return None
  found, _ = first
  start = f'{found.path}/'
  numbers = [
    found.find(path[len(start) :]) if path.startswith(start) else None
    for path in paths
  ]
  if others := [
    f'{path} is not a file in {found.path}'
    for path, number in zip(paths, numbers, strict=True)
    if not isinstance(number, int)
  ]:
    raise errors.UserError(*errors.shorten(others))
  return found, np.array(numbers, np.int64)


def bucket_of(paths: list[str]) -> tuple[Mounted, np.ndarray] | None:
  """Returns what is mounted, and the numbers of files in it; None: no bucket.

  Raises: as `reader`.
  """
  found = reader(paths[:1])
  return reader(paths) if found and isinstance(found[0], Mounted) else None


def versions(paths: list[str]) -> list[bytes]:
  """Returns what changes with the content of each file; [] if not known."""
  if not (found := bucket_of(paths)):
    return []
  known = found[0].versions()
  return [known[number] for number in found[1]]


def cannot_read(paths: list[str]) -> list[str]:
  """Returns a line for each path at which is no regular file to be read."""
  if bucket_of(paths):
    return []
  return files_lib.cannot_read(paths)


def tables(
  paths: list[str], kind: str, make: Callable[[str], Table]
) -> list[Table | Exception]:
  """Returns what `make` says of each shard, or its OSError or ValueError.

  Args:
    paths: of the shards.
    kind: names what `make` does.
    make: describes a shard at a local path.
  """
  if found := bucket_of(paths):
    return shards.tables(found[0], kind, found[1].tolist(), make)

  def described(path):
    try:
      return make(path)
    except (OSError, ValueError) as error:
      return error

  # While one reads a header, which takes a while over a network, others do.
  with futures.ThreadPoolExecutor(_THREADS) as pool:
    return list(pool.map(described, paths))
