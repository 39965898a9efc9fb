"""One training at a time in a workdir."""

from collections.abc import Callable
import contextlib
import errno
import fcntl
import logging
import os
import platform

import jax

from inception_jax.errors import RunError
from inception_jax.errors import UserError

log = logging.getLogger(__name__)

_NAME = '.lock'

_NOT_HERE = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}


@contextlib.contextmanager
def held(workdir: str):
  """Makes the workdir, and keeps other trainings out of it.

  The lock goes with the process, however that ends. In a bucket there is none.

  Yields:
    A function that raises `RunError` if the workdir is no longer the one that
    was locked: it was deleted, or its mount has gone.

  Raises:
    UserError: another training has it.
  """
  if '://' in workdir or jax.process_index():
    yield lambda: None
    return
  os.makedirs(workdir, exist_ok=True)
  path = os.path.join(workdir, _NAME)
  with open(path, 'a+') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      file.seek(0)
      raise UserError(
        f'--workdir={workdir} is in use by another training, {file.read()}'
      ) from None
    except OSError as error:
      if error.errno not in _NOT_HERE:
        raise
      log.warning('%s cannot be locked: %s', workdir, error.strerror)
    file.truncate(0)
    file.write(f'process {os.getpid()} on {platform.node()}')
    file.flush()
    yield _checker(workdir, path, os.fstat(file.fileno()))


def in_use(workdir: str) -> bool:
  """Whether a training has the workdir; of a bucket that is not known."""
  path = os.path.join(workdir, _NAME)
  if '://' in workdir or not os.path.exists(path):
    return False
  with open(path) as file:
    try:
      fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
      return True
    except OSError:  # there are no locks here
      pass
  return False


def _checker(workdir: str, path: str, held_: os.stat_result) -> Callable:
  def check():
    try:
      now = os.stat(path)
    except OSError as error:
      raise RunError(f'{workdir} has gone: {error.strerror}') from error
    if not os.path.samestat(now, held_):
      raise RunError(f'{workdir} is no longer what it was when this began')

  return check
