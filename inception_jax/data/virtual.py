"""Folders and files that are on no disk, but in an archive or a bucket."""

import abc
from collections.abc import Iterable
import errno
import os
from typing import NamedTuple

import numpy as np


class Entry(NamedTuple):
  """What `os.DirEntry` is, for a file or folder that is on no disk."""

  name: str
  path: str
  number: int | None  # None: a folder

  def is_dir(self) -> bool:
    """Returns whether it is a folder."""
    return self.number is None

  def is_file(self) -> bool:
    """Returns whether it is a file."""
    return self.number is not None


class Tree(abc.ABC):
  """Files by number, in folders.

  Attributes:
    path: the local path that stands for all of it.
    sizes: int64 [N], of the files in bytes; -1: not known.
  """

  path: str
  sizes: np.ndarray

  def __init__(self):
    # {name: number of a file, or a folder of the same form}; or, where `path`
    # is a file, its number.
    self._tree = {}

  def add(self, parts: Iterable[str], number: int | None) -> None:
    """Adds a file at folders and a name, or, with None, a folder.

    Raises:
      ValueError: a file has the name of a folder.
    """
    *parents, name = parts
    folder = self._tree
    for parent in parents:
      folder = folder.setdefault(parent, {})
      if not isinstance(folder, dict):
        raise ValueError('both a file and a folder')
    if number is None:
      return
    if isinstance(folder.get(name), dict):
      raise ValueError('both a file and a folder')
    folder[name] = number

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
    raise missing(f'{self.path}/{inner}')

  def entries(self, inner: str, path: str) -> list[Entry]:
    """Returns what is in a folder, at `path`, or raises OSError."""
    folder = self.find(inner)
    if not isinstance(folder, dict):
      raise missing(path)
    return [
      Entry(name, f'{path}/{name}', None if isinstance(x, dict) else x)
      for name, x in folder.items()
    ]

  @abc.abstractmethod
  def read(self, number: int) -> bytes:
    """Returns the content of a file; any thread may call this.

    Raises:
      ValueError: it is damaged, or too large.
    """


def missing(path: str) -> OSError:
  """Returns the error of a path at which is nothing."""
  return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
