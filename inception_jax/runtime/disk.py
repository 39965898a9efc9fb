"""Disks that fail, and what survives their power."""

import errno
import os

from inception_jax.errors import one_line

# Of a disk that is full, was mounted read-only, or has vanished.
_DISK_ERRORS = {
  errno.ENOSPC,
  errno.EDQUOT,
  errno.EFBIG,
  errno.EROFS,
  errno.EIO,
  errno.ESTALE,
  errno.ENODEV,
  errno.ENOTCONN,
}
# Of file systems that cannot sync, some of them folders alone.
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP}


def sync(path: str) -> None:
  """Waits until a file, or a folder with all in it, survives a power loss."""
  path = os.path.abspath(path)
  below = [
    os.path.join(folder, name)
    for folder, folders, names in os.walk(path)
    for name in (*folders, *names)
  ]
  for each in (*below, path, os.path.dirname(path)):
    descriptor = os.open(each, os.O_RDONLY)
    try:
      os.fsync(descriptor)
    except OSError as error:
      if error.errno not in _NO_SYNC:
        raise
    finally:
      os.close(descriptor)


def disk_fault(error: Exception) -> str:
  """Returns the fault of a disk that an error is about, or ''."""
  if isinstance(error, OSError):
    if error.errno not in _DISK_ERRORS:
      return ''
    return f'{error.filename or "a disk"}: {error.strerror}'
  # Libraries in C++ have errors of their own.
  reasons = map(os.strerror, _DISK_ERRORS)
  return one_line(error) if any(x in str(error) for x in reasons) else ''
