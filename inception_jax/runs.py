"""Where a run's checkpoints lie, and which of them is meant."""

import contextlib

from etils import epath

from inception_jax import config as config_lib
from inception_jax.checkpoint import Checkpoints


def folder(workdir: str) -> epath.Path:
  """Where a run's checkpoints lie."""
  return epath.Path(workdir) / 'checkpoints'


def exists(workdir: str) -> bool:
  """Whether a run has a checkpoint; nothing is made by asking."""
  where = folder(workdir)
  return where.is_dir() and any(x.name.isdecimal() for x in where.iterdir())


def is_checkpoint(path: epath.Path) -> bool:
  """Whether a folder is one checkpoint."""
  return (path / '_CHECKPOINT_METADATA').exists()


@contextlib.contextmanager
def reading(workdir: str, which: str):
  """Yields (Checkpoints, step) of 'latest', 'best', a step or a path.

  Raises:
    UserError: there is no such checkpoint.
  """
  directory = folder(workdir)
  if '/' in which:
    path = epath.Path(which).expanduser()
    if not is_checkpoint(path):
      raise config_lib.UserError(f'--checkpoint={which} is not a checkpoint')
    directory, which = path.parent, path.name
  elif not directory.is_dir():
    raise config_lib.UserError(f'no checkpoint in {directory}')
  with Checkpoints(directory) as checkpoints:
    yield checkpoints, checkpoints.find(which)
