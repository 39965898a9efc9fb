"""Atomic writes, temporary folders, free disk space."""

from collections.abc import Iterator
import contextlib
import os
import pathlib
import shutil
import tempfile

from etils import epath


@contextlib.contextmanager
def atomic_path(path: str):
  """Yields a path beside `path` for a file or folder that becomes it.

  If the block fails, nothing is left.
  """
  parent, name = os.path.split(os.path.abspath(path))
  unfinished = os.path.join(parent, f'unfinished-{os.getpid()}-{name}')
  try:
    yield unfinished
    os.rename(unfinished, path)
  finally:
    if os.path.isdir(unfinished):
      shutil.rmtree(unfinished)
    elif os.path.lexists(unfinished):
      os.remove(unfinished)


def with_parents(path: str) -> list[pathlib.Path]:
  """A path and the folders that it is in, up to the root."""
  path = pathlib.Path(os.path.abspath(path))
  return [path, *path.parents]


@contextlib.contextmanager
def temporary_folder(path: str) -> Iterator[str]:
  """Makes a folder, and takes away again whatever of its path was not there.

  Raises:
    OSError: it cannot be made.
  """
  path = os.path.abspath(path)
  made = [p for p in with_parents(path) if not os.path.lexists(p)]
  try:
    os.makedirs(path, exist_ok=True)
    yield path
  finally:
    for one in made:
      # Another process of the same run may be using it, too.
      with contextlib.suppress(OSError):
        os.rmdir(one)


def replace_text(path: epath.Path, text: str) -> None:
  """Writes a file, whole or not at all."""
  unfinished = path.with_name(f'{path.name}.unfinished')
  unfinished.write_text(text)
  unfinished.replace(path)


def too_full(path: str, needed: int) -> list[str]:
  """A fault if `needed` bytes do not fit where a folder is or could be."""
  there = next(p for p in with_parents(path) if os.path.lexists(p))
  free = shutil.disk_usage(there).free
  if free >= needed:
    return []
  return [
    f'{there} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} are needed'
  ]


def cannot_write(path: str) -> str:
  """Why no file can be made in a folder that is or could be; '' if one can."""
  path = os.path.abspath(path)
  try:
    with temporary_folder(path), tempfile.TemporaryFile(dir=path):
      return ''
  except OSError as error:
    return f'{path}: {error.strerror}'
