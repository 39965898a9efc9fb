"""Where a run's checkpoints lie, and which of them is meant."""

from etils import epath

from inception_jax.checkpointing import directory as directory_lib
from inception_jax.checkpointing.directory import CheckpointDirectory


def checkpoint_folder(workdir: str) -> epath.Path:
  """Where a run's checkpoints lie."""
  return epath.Path(workdir) / 'checkpoints'


def has_checkpoints(workdir: str) -> bool:
  """Whether a run has checkpoints, damaged or not; makes nothing."""
  where = checkpoint_folder(workdir)
  return where.is_dir() and any(
    path.name.isdecimal() or directory_lib.DAMAGED in path.name
    for path in where.iterdir()
  )


def is_checkpoint(path: epath.Path) -> bool:
  """Whether a folder is one checkpoint."""
  return (path / '_CHECKPOINT_METADATA').exists()


def is_path(which: str) -> bool:
  """Whether it names a folder or file, not one of a run's checkpoints."""
  named = which in ('latest', 'best') or which.isdecimal()
  return '/' in which or (not named and epath.Path(which).exists())


def find(workdir: str, which: str) -> tuple[CheckpointDirectory, list[int]]:
  """The checkpoints that 'latest', 'best', a step or the path of one can mean.

  Returns:
    The history they are of, and their steps; the first that is sound is meant.

  Raises:
    UserError: there is no such checkpoint.
  """
  directory = checkpoint_folder(workdir)
  if '/' in which:
    path = epath.Path(which)
    directory, which = path.parent, path.name
  found = CheckpointDirectory(directory)
  return found, found.candidates(which)
