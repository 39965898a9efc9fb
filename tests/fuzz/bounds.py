"""What no input may make a reader do, whatever the reader is."""

from collections.abc import Callable
import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
import traceback

from inception_jax.errors import UserError

MAX_SECONDS = 10.0  # of CPU time, for one input of some kB
MAX_GROWTH = 2**28  # bytes of memory beyond those before it
MAX_LINES = 60  # of a message
# Audit events that change files: positions of paths and of their folders'
# descriptors.
_CHANGES = {
  'open': ((0, None),),
  'os.chmod': ((0, 2),),
  'os.chown': ((0, 3),),
  'os.link': ((1, 3),),
  'os.mkdir': ((0, 2),),
  'os.remove': ((0, 1),),
  'os.rename': ((0, 2), (1, 3)),
  'os.rmdir': ((0, 1),),
  'os.symlink': ((1, 2),),
  'os.truncate': ((0, None),),
  'os.utime': ((0, 3),),
}
_PROGRAMS = ('os.exec', 'os.posix_spawn', 'os.fork', 'os.system')
_PROGRAMS += ('subprocess.Popen', 'socket.connect', 'socket.bind')
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclasses.dataclass(frozen=True)
class Target:
  """A reader of untrusted input.

  Attributes:
    reads: functions (content, folder) → anything; each gets every input, and
      may write files into the folder.
    seeds: returns valid inputs, each accepted by one of `reads`.
    errors: exceptions that `reads` document.
    hostile: returns further inputs to start from.
  """

  reads: tuple[Callable, ...]
  seeds: Callable[[], list[bytes]]
  errors: tuple[type[Exception], ...] = (UserError,)
  hostile: Callable[[], list[bytes]] = list


class OutOfBounds(BaseException):
  """Something that no input may cause; no reader catches it."""


class _Audit:
  """Stops changes of files outside of a folder, and other programs."""

  def __init__(self):
    self.folder: str | None = None
    self.violation = ''
    self._installed = False

  @contextlib.contextmanager
  def only_inside(self, folder: pathlib.Path):
    if not self._installed:  # cannot be removed
      sys.addaudithook(self._hook)
      self._installed = True
    before = tempfile.tempdir, sys.dont_write_bytecode
    tempfile.tempdir, sys.dont_write_bytecode = str(folder), True
    self.violation, self.folder = '', os.path.realpath(folder)
    try:
      yield
    finally:
      self.folder = None
      tempfile.tempdir, sys.dont_write_bytecode = before
      if self.violation:  # also in a thread, or where it was caught
        raise OutOfBounds(self.violation)

  def _hook(self, event, args):
    if self.folder is None:
      return
    violation = ''
    if event in _PROGRAMS:
      violation = f'{event}{args}'
    elif event in _CHANGES and not (event == 'open' and not _writes(*args)):
      for path, folder in _CHANGES[event]:
        where = _resolve(args[path], -1 if folder is None else args[folder])
        if where and not pathlib.Path(where).is_relative_to(self.folder):
          violation = f'{event}{args}: {where}'
    if violation:
      self.violation = violation
      raise OutOfBounds(violation)


def _writes(path, mode, flags) -> bool:
  return bool(flags & _WRITING) and path != os.devnull


def _resolve(path, folder: int) -> str:
  """Returns the path that is changed, or '' for an open file."""
  if isinstance(path, int):
    return ''
  base = os.readlink(f'/proc/self/fd/{folder}') if folder >= 0 else ''
  return os.path.realpath(os.path.join(base, os.fsdecode(path)))


_AUDIT = _Audit()


def breaches(target: Target, content: bytes, folder: pathlib.Path) -> list[str]:
  """Reads an input; returns what its readers did that no input may cause.

  `folder` is created, and deleted afterwards.
  """
  found = [
    _breach(read, content, folder, target.errors) for read in target.reads
  ]
  return [text for text in found if text]


def _breach(read, content, folder, errors) -> str:
  folder.mkdir()
  _reset_peak()
  before, started = _memory('VmRSS'), time.process_time()
  found = ''
  try:
    with _AUDIT.only_inside(folder):
      read(content, folder)
  except errors as error:
    lines = error.faults if isinstance(error, UserError) else ()
    if len(lines) > MAX_LINES:
      found = f'{len(lines)} lines of errors'
    elif _ran_out_of_memory(error):
      found = f'out of memory: {traceback.format_exc()}'
  except (Exception, OutOfBounds):
    found = traceback.format_exc()
  finally:
    shutil.rmtree(folder)
  seconds = time.process_time() - started
  growth = _memory('VmHWM') - before
  if not found and seconds > MAX_SECONDS:
    found = f'{seconds:.0f} s of CPU time'
  if not found and growth > MAX_GROWTH:
    found = f'{growth >> 20} MB of memory'
  return found


def _ran_out_of_memory(error: BaseException | None) -> bool:
  """Whether memory ran out, which readers report as damage."""
  while error is not None:
    if isinstance(error, MemoryError):
      return True
    error = error.__cause__ or error.__context__
  return False


def _memory(key: str) -> int:
  """Returns VmRSS, or VmHWM, its peak, of this process in bytes."""
  text = pathlib.Path('/proc/self/status').read_text()
  return 1024 * int(re.search(rf'{key}:\s*(\d+)', text)[1])


def _reset_peak() -> None:
  pathlib.Path('/proc/self/clear_refs').write_text('5')
