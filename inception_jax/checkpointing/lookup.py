"""Where a run's checkpoints are, and which one --checkpoint= selects."""

from etils import epath

from inception_jax import inputs
from inception_jax.buckets import bucket
from inception_jax.buckets import runs
from inception_jax.checkpointing import contents
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.errors import UserError


def checkpoint_folder(workdir: str) -> epath.Path:
  """Returns the folder of a run's checkpoints."""
  return epath.Path(workdir) / 'checkpoints'


def has_checkpoints(workdir: str) -> bool:
  """Returns whether a run has checkpoints, sound or damaged.

  Raises:
    UserError: their folder cannot be read.
  """
  return contents.read(checkpoint_folder(workdir)).has_checkpoints()


def is_path(which: str) -> bool:
  """Returns whether `which` is a path, not 'latest', 'best' or a step."""
  named = which in ('latest', 'best') or which.isdecimal()
  return '/' in which or (not named and epath.Path(which).exists())


def to_path(which: str) -> epath.Path:
  """Returns the path of weights, which may be in a bucket.

  Raises:
    UserError: it is another URL, or the bucket cannot be read.
  """
  if bucket.is_url(which):
    return epath.Path(runs.local(which))
  if '://' in which:
    raise UserError(
      f'{which}: expected a local path, gs:// or s3://BUCKET/PATH, or '
      'hf-hub:OWNER/NAME; download the file first'
    )
  return epath.Path(inputs.expand_home(which))


def find(workdir: str, which: str) -> tuple[CheckpointDirectory, list[int]]:
  """Finds the checkpoints for 'latest', 'best', a step or a checkpoint's path.

  Returns:
    Their folder, and the steps to try in order until one is sound.

  Raises:
    UserError: there is no such checkpoint.
  """
  folder = checkpoint_folder(workdir)
  if '/' in which:
    path = to_path(which)
    folder, which = path.parent, path.name
  directory = CheckpointDirectory(folder)
  return directory, directory.candidates(which)
