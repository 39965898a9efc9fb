"""Where a run's checkpoints lie, and which of them is meant."""

from etils import epath

from inception_jax import history
from inception_jax.history import History


def folder(workdir: str) -> epath.Path:
  """Where a run's checkpoints lie."""
  return epath.Path(workdir) / 'checkpoints'


def exists(workdir: str) -> bool:
  """Whether a run has checkpoints, damaged or not; makes nothing."""
  where = folder(workdir)
  return where.is_dir() and any(
    path.name.isdecimal() or history.DAMAGED in path.name
    for path in where.iterdir()
  )


def is_checkpoint(path: epath.Path) -> bool:
  """Whether a folder is one checkpoint."""
  return (path / '_CHECKPOINT_METADATA').exists()


def is_path(which: str) -> bool:
  """Whether it names a folder or file, not one of a run's checkpoints."""
  named = which in ('latest', 'best') or which.isdecimal()
  return '/' in which or (not named and epath.Path(which).exists())


def find(workdir: str, which: str) -> tuple[History, list[int]]:
  """The checkpoints that 'latest', 'best', a step or the path of one can mean.

  Returns:
    The history they are of, and their steps; the first that is sound is meant.

  Raises:
    UserError: there is no such checkpoint.
  """
  directory = folder(workdir)
  if '/' in which:
    path = epath.Path(which)
    directory, which = path.parent, path.name
  found = History(directory)
  return found, found.candidates(which)
