"""Folders for a moment."""

from collections.abc import Iterator
import contextlib
import os


@contextlib.contextmanager
def folder(path: str) -> Iterator[str]:
  """Makes a folder, and takes away again whatever of its path was not there.

  Raises:
    OSError: it cannot be made.
  """
  made = []
  missing = path
  while not os.path.lexists(missing):
    made.append(missing)
    missing = os.path.dirname(missing)
  try:
    os.makedirs(path, exist_ok=True)
    yield path
  finally:
    for one in made:
      # Another process of the same run may be using it, too.
      with contextlib.suppress(OSError):
        os.rmdir(one)
