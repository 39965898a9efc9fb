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
  """Yields a temporary path, renamed to `path` or, after an error, removed.

  Makes the parent folder.
  """
  parent, name = os.path.split(os.path.abspath(path))
  os.makedirs(parent, exist_ok=True)
  unfinished = os.path.join(parent, f'unfinished-{os.getpid()}-{name}')
  try:
    yield unfinished
    os.rename(unfinished, path)
  finally:
    if os.path.isdir(unfinished):
      shutil.rmtree(unfinished)
    elif os.path.lexists(unfinished):
      os.remove(unfinished)


@contextlib.contextmanager
def temporary_folder(path: str) -> Iterator[str]:
  """Makes a folder, or raises OSError; on exit removes it if it was new.

  Its parents stay: by now, another command may be making a folder in them.
  """
  new = not os.path.lexists(path)
  os.makedirs(path, exist_ok=True)
  try:
    yield path
  finally:
    if new:
      # Another process of the same run may be using it.
      with contextlib.suppress(OSError):
        os.rmdir(path)


def atomic_write(path: epath.Path, text: str) -> None:
  """Writes or replaces a file atomically."""
  unfinished = path.with_name(f'{path.name}.unfinished')
  unfinished.write_text(text)
  unfinished.replace(path)


def check_free_space(path: str, needed: int) -> list[str]:
  """Returns a fault if the disk of a new or old folder lacks `needed` bytes."""
  existing = _nearest_existing(path)
  free = shutil.disk_usage(existing).free
  if free >= needed:
    return []
  return [
    f'{existing} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} are needed'
  ]


def cannot_write(path: str) -> str:
  """Returns why files cannot be written to a new or old folder, or ''.

  A new folder is tried under another name: where several processes try the
  same one, none could remove it without disturbing another.
  """
  path = os.path.abspath(path)
  existing = _nearest_existing(path)
  try:
    with contextlib.ExitStack() as stack:
      folder = path
      if existing != path:
        trial = tempfile.TemporaryDirectory(prefix='.trial-', dir=existing)
        trial = stack.enter_context(trial)
        folder = os.path.join(trial, os.path.relpath(path, existing))
        os.makedirs(folder)
      stack.enter_context(tempfile.TemporaryFile(dir=folder))
    return ''
  except OSError as error:
    return f'{path}: {error.strerror}'


def _nearest_existing(path: str) -> str:
  """Returns the path itself or its nearest parent that exists."""
  path = pathlib.Path(os.path.abspath(path))
  return str(next(p for p in (path, *path.parents) if os.path.lexists(p)))
