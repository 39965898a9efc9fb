"""What is in a folder of checkpoints: steps, leftovers and files of others."""

import os
import re
import time
from typing import NamedTuple

from etils import epath

from inception_jax.buckets import mirror
from inception_jax.checkpointing import checkpoint
from inception_jax.errors import UserError

DAMAGED_SUFFIX = '.damaged'
DELETED_SUFFIX = '.deleted'
# orbax writes to what these match, and TensorFlow and orbax read a backslash as
# a slash.
_PATTERN = re.compile(r'\[|\*\*')
# Not 0008 or ٨, which would be read and renamed as 8.
_STEP = re.compile('(0|[1-9][0-9]*)')
_NUMBER = '(-[0-9]+)?'  # see `free_name`
_DELETED = re.compile(_STEP.pattern + re.escape(DELETED_SUFFIX) + _NUMBER)
_DAMAGED = re.compile(_STEP.pattern + re.escape(DAMAGED_SUFFIX) + _NUMBER)


class Contents(NamedTuple):
  """What is in a folder of checkpoints.

  Attributes:
    steps: of the checkpoints, sorted, damaged ones too.
    damaged: the checkpoints that were renamed.
    leftovers: what interrupted saves and deletions left.
    others: what is none of these, and nothing of this project.
  """

  steps: list[int]
  damaged: list[epath.Path]
  leftovers: list[epath.Path]
  others: list[epath.Path]

  def has_checkpoints(self) -> bool:
    """Returns whether there are checkpoints, or what may have been some."""
    return bool(
      self.steps or self.damaged or any(x.name.isdecimal() for x in self.others)
    )


def read(folder: epath.Path) -> Contents:
  """Reads the names in a folder, which does not have to exist.

  Raises:
    UserError: it cannot be read.
  """
  contents = Contents([], [], [], [])
  for path in _paths(folder):
    step = _STEP.fullmatch(path.name.partition('.')[0])
    if step and checkpoint.is_unfinished(path):
      contents.leftovers.append(path)
    elif _STEP.fullmatch(path.name):
      contents.steps.append(int(path.name))
    elif _DELETED.fullmatch(path.name) and is_real_folder(path):
      contents.leftovers.append(path)
    elif _DAMAGED.fullmatch(path.name):
      contents.damaged.append(path)
    else:
      contents.others.append(path)
  contents.steps.sort()
  return contents


def cannot_hold(folder: str, written: bool = True) -> str:
  """Returns why a folder, new or old, cannot hold checkpoints, or ''.

  Else sound ones would be taken for damaged. With `written`, they are to be
  written there, not just read.
  """
  path = str(epath.Path(folder).absolute())
  if '\\' in path:
    return f'{folder}: orbax takes a backslash for a slash'
  if written and (found := _PATTERN.search(path)):
    return f'{folder}: orbax takes {found[0]} for a pattern'
  try:
    path.encode()
  except UnicodeEncodeError:
    return f'{folder}: not UTF-8 (in the C locale, set PYTHONUTF8=1)'
  return ''


def free_name(path: epath.Path, suffix: str) -> epath.Path:
  """Returns a path to rename a checkpoint to that does not exist."""
  renamed, i = path.with_name(path.name + suffix), 1
  while renamed.exists() or os.path.islink(renamed):
    i += 1
    renamed = path.with_name(f'{path.name}{suffix}-{i}')
  return renamed


def wait_for(path: epath.Path, seconds: float = 60.0) -> None:
  """Waits for what another process sees; a network file system may be late."""
  deadline = time.monotonic() + seconds
  while not path.exists() and time.monotonic() < deadline:
    time.sleep(0.2)
    mirror.refresh(str(path))


def is_real_folder(path: epath.Path) -> bool:
  """Returns whether a path is a folder and no symbolic link to one."""
  return path.is_dir() and not os.path.islink(path)


def _paths(folder: epath.Path) -> list[epath.Path]:
  try:
    return sorted(folder.iterdir())
  except (FileNotFoundError, NotADirectoryError):
    return []
  except OSError as error:
    raise UserError(f'{folder} cannot be read: {error.strerror}') from error
