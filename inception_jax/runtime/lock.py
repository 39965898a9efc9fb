"""Allows one training at a time in a workdir.

Not by filelock, whose flock names no owner and cannot be probed in shared mode.
"""

import contextlib
import errno
import fcntl
import functools
import logging
import os
import platform

from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.runtime.process import is_primary

log = logging.getLogger(__name__)

_NAME = '.lock'


@contextlib.contextmanager
def held(workdir: str):
  """Makes the workdir and locks it against other trainings.

  The kernel releases the lock when the process ends, however it ends. A bucket
  is not locked.

  Yields:
    A function that raises `RunError` if the workdir is no longer the locked
    one: it was deleted, replaced or unmounted.

  Raises:
    UserError: another training holds the lock.
  """
  if '://' in workdir or not is_primary():
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
      if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
        raise
      log.warning(
        '%s cannot be locked (%s): start no second training in it',
        *(workdir, error.strerror),
      )
    file.truncate(0)
    file.write(f'process {os.getpid()} on {platform.node()}')
    file.flush()
    yield functools.partial(_check, workdir, path, os.fstat(file.fileno()))


def in_use(workdir: str) -> bool:
  """Returns whether a training holds the lock; False for a bucket."""
  path = os.path.join(workdir, _NAME)
  if '://' in workdir or not os.path.exists(path):
    return False
  with open(path) as file:
    try:
      fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
      return True
    except OSError:  # the file system has no locks
      pass
  return False


def _check(workdir: str, path: str, locked: os.stat_result) -> None:
  try:
    now = os.stat(path)
  except OSError as error:
    raise RunError(f'{workdir} was deleted: {error.strerror}') from error
  if not os.path.samestat(now, locked):
    raise RunError(f'{workdir} was replaced while this training ran')
