"""Regular files, atomic writes, temporary folders, free disk space."""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import errno
import os
import pathlib
import shutil
import stat
import tempfile
import uuid

from etils import epath

from inception_jax.errors import UserError

_MAX_BYTES = 2**30
_ENDING = 20  # characters of a name


def regular(path: str | bytes, flags: int) -> int:
  """The `opener` of open() for files of strangers: regular ones, or links.

  Opening a FIFO waits, opening a device may do anything, and both may be read
  without end.

  Raises:
    OSError: nothing is there, or something else.
  """
  # A device is not even opened; what is at a path may change until it is.
  _check_regular(os.stat(path).st_mode, path)
  descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
  try:
    _check_regular(os.fstat(descriptor).st_mode, path)
  except OSError:
    os.close(descriptor)
    raise
  return descriptor


def _check_regular(mode: int, path: str | bytes) -> None:
  if not stat.S_ISREG(mode):
    raise OSError(
      errno.EINVAL,
      'a folder, not a file'
      if stat.S_ISDIR(mode)
      else 'not a regular file, but a pipe, socket or device',
      os.fsdecode(path),
    )


def read(path: str | bytes, limit: int = _MAX_BYTES) -> bytes:
  """Returns the content of a regular file of at most `limit` bytes.

  Raises:
    OSError: it is larger, is something else, or cannot be read.
  """
  with open(path, 'rb', buffering=0, opener=regular) as file:
    if (size := os.fstat(file.fileno()).st_size) > limit:
      raise OSError(
        errno.EFBIG, f'{size} bytes are too many', os.fsdecode(path)
      )
    return file.read()


def cannot_read(paths: Iterable[str]) -> list[str]:
  """Returns a line for each path at which is no regular file to be read."""
  faults = []
  for path in paths:
    try:
      os.close(regular(path, os.O_RDONLY))
    except OSError as error:
      faults.append(f'{path} cannot be read: {error.strerror}')
  return faults


def kind(entry: os.DirEntry) -> str:
  """Returns 'file', 'folder', or '' for all else; links are followed."""
  try:
    return 'folder' if entry.is_dir() else 'file' if entry.is_file() else ''
  except OSError:  # links in a circle
    return ''


@contextlib.contextmanager
def atomic_path(path: str, replace: bool = False):
  """Yields a new temporary path, renamed to `path` or, after an error, removed.

  Makes the parent folder.

  Raises:
    UserError: by now, something is at `path`, which is not to be replaced.
  """
  parent, name = os.path.split(os.path.abspath(path))
  os.makedirs(parent, exist_ok=True)
  # Not the process's number: those of containers are equal, and one that was
  # killed has left its own. Readers look at the ending.
  unfinished = f'unfinished-{uuid.uuid4().hex[:8]}-{name[-_ENDING:]}'
  unfinished = os.path.join(parent, unfinished)
  try:
    with _naming(path):
      yield unfinished
    if not replace and os.path.lexists(path):
      raise UserError(f'{path} was made by another command in the meantime')
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


def atomic_write(path: epath.Path, content: str | bytes) -> None:
  """Writes or replaces a file atomically; leaves nothing after an error.

  Text becomes UTF-8; bytes that a file name could not decode become escapes.
  """
  if isinstance(content, str):
    content = content.encode(errors='backslashreplace')
  unfinished = path.with_name(f'{path.name}.unfinished')
  try:
    with _naming(str(path)):
      unfinished.write_bytes(content)
      unfinished.replace(path)
  except OSError:
    with contextlib.suppress(OSError):
      unfinished.unlink()
    raise


@contextlib.contextmanager
def _naming(path: str):
  """Adds a path to an OSError of its content, which names none."""
  try:
    yield
  except OSError as error:
    error.filename = error.filename or path
    raise


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
  except RecursionError:  # from mkdir
    return f'{path}: too many folders in one another'


def _nearest_existing(path: str) -> str:
  """Returns the path itself or its nearest parent that exists."""
  path = pathlib.Path(os.path.abspath(path))
  return str(next(p for p in (path, *path.parents) if os.path.lexists(p)))
