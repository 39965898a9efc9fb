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
from typing import IO
import uuid

from inception_jax.buckets import lease
from inception_jax.buckets import mirror
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.runtime.process import is_primary

log = logging.getLogger(__name__)

_NAME = '.lock'


@contextlib.contextmanager
def held(workdir: str):
  """Makes the workdir and locks it against other trainings.

  The kernel releases the lock when the process ends, however it ends. A run in
  a bucket has a lease as well, see `buckets.lease`. A file system without locks
  is a warning: there, of two trainings the one that started first ends when it
  would save.

  Yields:
    A function that raises `RunError` if the workdir is no longer this
    training's: it was deleted, replaced or unmounted, or another training has
    started in it.

  Raises:
    UserError: another training holds the lock.
    RunError: the workdir cannot be locked.
  """
  if not is_primary():
    yield lambda: None
    return
  path = os.path.join(workdir, _NAME)
  owner = f'process {os.getpid()} on {platform.node()}'
  # Processes on hosts of one name may have the same number.
  owner += f', started as {uuid.uuid4().hex[:8]}'
  with contextlib.ExitStack() as stack:
    if in_bucket := mirror.of(workdir):
      stack.enter_context(in_bucket.locked())
    try:
      os.makedirs(workdir, exist_ok=True)
      file = stack.enter_context(open(path, 'a+', errors='replace'))
      _lock(file, workdir)
      file.truncate(0)
      file.write(owner)
      file.flush()
      locked = os.fstat(file.fileno())
    except OSError as error:
      raise RunError(f'{path} cannot be locked: {error.strerror}') from error
    yield functools.partial(_check, workdir, path, locked, owner)


def _lock(file: IO[str], workdir: str) -> None:
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    file.seek(0)
    raise UserError(
      f'--workdir={workdir} is in use by another training, {file.read(200)}'
    ) from None
  except OSError as error:
    if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
      raise
    log.warning(
      '%s cannot be locked (%s): start no second training in it',
      *(workdir, error.strerror),
    )


def in_use(workdir: str) -> bool:
  """Returns whether a training holds the lock; in a bucket, takes seconds."""
  if in_bucket := mirror.of(workdir):
    return lease.is_renewed(in_bucket.bucket)
  path = os.path.join(workdir, _NAME)
  if not os.path.exists(path):
    return False
  with open(path, errors='replace') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
      return True
    except OSError:  # the file system has no locks
      pass
  return False


def _check(workdir: str, path: str, locked: os.stat_result, owner: str) -> None:
  if (in_bucket := mirror.of(workdir)) and in_bucket.lease:
    in_bucket.lease.check()
  try:
    with open(path, errors='replace') as file:
      now, owner_now = os.fstat(file.fileno()), file.read(200)
  except FileNotFoundError as error:
    raise RunError(f'{workdir} was deleted: {error.strerror}') from error
  except OSError as error:
    raise RunError(f'{path} cannot be read: {error.strerror}') from error
  if not os.path.samestat(now, locked):
    raise RunError(f'{workdir} was replaced while this training ran')
  if owner_now != owner:
    raise RunError(f'another training has started in {workdir}: {owner_now}')
