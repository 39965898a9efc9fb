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
  """Yields a temporary path for a file or folder that is renamed to `path`.

  If the block fails, the temporary file or folder is removed.
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


def _with_parents(path: str) -> list[pathlib.Path]:
  """Returns a path and its parent folders, up to the root."""
  path = pathlib.Path(os.path.abspath(path))
  return [path, *path.parents]


@contextlib.contextmanager
def temporary_folder(path: str) -> Iterator[str]:
  """Makes a folder; removes on exit the parts of its path that were new.

  Raises:
    OSError: the folder cannot be made.
  """
  path = os.path.abspath(path)
  new = [p for p in _with_parents(path) if not os.path.lexists(p)]
  try:
    os.makedirs(path, exist_ok=True)
    yield path
  finally:
    for folder in new:
      # Another process of the same run may be using it.
      with contextlib.suppress(OSError):
        os.rmdir(folder)


def atomic_write(path: epath.Path, text: str) -> None:
  """Writes or replaces a file atomically."""
  unfinished = path.with_name(f'{path.name}.unfinished')
  unfinished.write_text(text)
  unfinished.replace(path)


def check_free_space(path: str, needed: int) -> list[str]:
  """Returns a fault if the file system of `path` lacks `needed` bytes.

  The folder `path` does not have to exist.
  """
  existing = next(p for p in _with_parents(path) if os.path.lexists(p))
  free = shutil.disk_usage(existing).free
  if free >= needed:
    return []
  return [
    f'{existing} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} are needed'
  ]


def cannot_write(path: str) -> str:
  """Returns why no file can be written in a folder, which may not exist yet.

  '' if a file can be written.
  """
  path = os.path.abspath(path)
  try:
    with temporary_folder(path), tempfile.TemporaryFile(dir=path):
      return ''
  except OSError as error:
    return f'{path}: {error.strerror}'
