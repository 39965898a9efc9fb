"""Tells errors of this machine from damage to a checkpoint.

A damaged checkpoint is moved aside, so a disk that cannot be read, or too
little memory, must not be taken for damage.
"""

import errno
import os
import re

# What damaged names and missing files cause; all other numbers are the disk's.
_DAMAGE = {
  errno.ENOENT,
  errno.ENOTDIR,
  errno.EISDIR,
  errno.ELOOP,
  errno.ENAMETOOLONG,
  errno.EINVAL,
  errno.EILSEQ,
}
# Statuses of tensorstore and of buckets, which come as a ValueError; threads.
_STATUS = re.compile(
  'PERMISSION_DENIED|RESOURCE_EXHAUSTED|UNAVAILABLE|UNAUTHENTICATED|'
  'DEADLINE_EXCEEDED|new thread'
)
_OS_ERROR = re.compile(r"os_error_code='(\d+)'")
_CHUNK = 1 << 20  # bytes


def cause(error: BaseException, path: str) -> BaseException | None:
  """Returns the machine's error that made reading a checkpoint fail.

  None if there is none: it is damaged. `path` is its folder.
  """
  for each in _chain(error):
    if _is_of_machine(each):
      return each
  # Libraries may have hidden it.
  try:
    _read_files(path)
  except (OSError, MemoryError) as found:
    return found if _is_of_machine(found) else None
  return None


def _is_of_machine(error: BaseException) -> bool:
  if isinstance(error, OSError) and error.errno:
    return error.errno not in _DAMAGE
  return (
    isinstance(error, MemoryError)
    or bool(_STATUS.search(str(error)))
    or bool(disk_error(error))
  )


def disk_error(error: BaseException) -> str:
  """Returns the disk's error in a long message of tensorstore, or ''."""
  for number in map(int, _OS_ERROR.findall(str(error))):
    if number not in _DAMAGE:
      return os.strerror(number)
  return ''


def _chain(error: BaseException | None, seen=()):
  """Yields an error, what it contains and what caused it."""
  while error is not None and error not in seen:
    seen = (*seen, error)
    yield error
    for part in getattr(error, 'exceptions', ()):
      yield from _chain(part, seen)
    error = error.__cause__ or error.__context__


def _read_files(path: str) -> None:
  """Reads every file of a local folder; raises the first OSError."""

  def fail(error):
    raise error

  for folder, _, names in os.walk(path, onerror=fail):
    for name in names:
      file = os.path.join(folder, name)
      if os.path.isfile(file):  # not what would block
        with open(file, 'rb') as opened:
          while opened.read(_CHUNK):
            pass
