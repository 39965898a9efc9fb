"""Folders for a moment."""

from collections.abc import Iterator
import contextlib
import os
import pathlib


def upwards(path: str) -> list[pathlib.Path]:
  """A path and the folders that it is in, up to the root."""
  path = pathlib.Path(os.path.abspath(path))
  return [path, *path.parents]


@contextlib.contextmanager
def folder(path: str) -> Iterator[str]:
  """Makes a folder, and takes away again whatever of its path was not there.

  Raises:
    OSError: it cannot be made.
  """
  path = os.path.abspath(path)
  made = [p for p in upwards(path) if not os.path.lexists(p)]
  try:
    os.makedirs(path, exist_ok=True)
    yield path
  finally:
    for one in made:
      # Another process of the same run may be using it, too.
      with contextlib.suppress(OSError):
        os.rmdir(one)
