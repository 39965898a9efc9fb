"""One checkpoint on disk: written whole, read only if every digest is right.

The only file that imports orbax. A checkpoint is a folder with two of orbax's
items: `state`, the arrays, and `record`, a JSON that says of every array its
shape, dtype and SHA-256, since orbax restores flipped bits without a word. The
record has a digest of its own.
"""

import contextlib
import errno
import json
import platform
import re
from typing import Any

from etils import epath
import flax
import jax
import numpy as np
import optax
import orbax.checkpoint as ocp

from inception_jax import trees
from inception_jax.checkpointing import digests
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.runtime import files
from inception_jax.runtime import hardware

_KEYS = {'step', 'metrics', 'network', 'config', 'versions', 'leaves'}

_STATE = 'state'

_RECORD = 'record'

# What is wrong with the machine, and not with the checkpoint.
_ENVIRONMENT = {
  errno.EACCES,
  errno.EPERM,
  errno.EIO,
  errno.ESTALE,
  errno.ENOTCONN,
  errno.EMFILE,
  errno.ENFILE,
  errno.ENOMEM,
}

_REFUSED = re.compile('PERMISSION_DENIED|RESOURCE_EXHAUSTED|UNAVAILABLE')

_VERSIONS = {
  'python': platform.python_version(),
  'jax': jax.__version__,
  'flax': flax.__version__,
  'optax': optax.__version__,
  'orbax-checkpoint': ocp.__version__,
}


class DamagedCheckpoint(UserError):
  """A checkpoint that is not what was saved, with its path and why."""

  def __init__(self, path: epath.Path, reason: Any):
    super().__init__(f'checkpoint {path} is damaged: {_one_line(reason)}')


def write(path: epath.Path, tree: Any, about: dict[str, Any]) -> None:
  """Writes a checkpoint, whole or not at all, and reads it back.

  Args:
    path: where it is to be; its parent exists.
    tree: numpy arrays.
    about: 'step', 'metrics', 'network' and 'config', for the record.

  Raises:
    RunError: it could not be written, or reads otherwise.
  """
  arrays = trees.named_leaves(tree)
  leaves = {name: digests.describe(x) for name, x in arrays.items()}
  versions = {
    **_VERSIONS,
    'devices': hardware.devices(),
    'machine': hardware.machine(),
  }
  record = {**about, 'versions': versions, 'leaves': leaves}
  try:
    with _checkpointer() as checkpointer:
      checkpointer.save(
        path,
        args=ocp.args.Composite(
          **{
            _STATE: ocp.args.PyTreeSave(tree),
            _RECORD: ocp.args.JsonSave(digests.with_digest(record)),
          }
        ),
      )
    # While the arrays are here, comparing them is cheaper than a digest.
    back = _arrays(path, state_fields(read_record(path)))
    digests.check_equal(arrays, back, digests.same_bytes)
  except Exception as error:  # orbax has no class of its own for these
    reason = f'checkpoint {path} was not saved: {_one_line(error)}'
    raise RunError(reason) from error


def write_record(path: epath.Path, record: dict[str, Any]) -> None:
  """Writes the record of a checkpoint anew, whole or not at all."""
  files.replace_text(
    path / _RECORD / 'metadata', json.dumps(digests.with_digest(record))
  )


def read_record(path: epath.Path) -> dict[str, Any]:
  """What `write` was told of a checkpoint, and 'versions' and 'leaves'.

  Raises:
    Damaged: it is not a whole checkpoint of this project.
    UserError: this machine cannot read it.
  """
  with _reading(path), _checkpointer() as checkpointer:
    args = ocp.args.Composite(**{_RECORD: ocp.args.JsonRestore()})
    sealed = checkpointer.restore(path, args=args)[_RECORD]
    record = sealed['values']
    if digests.with_digest(record) != sealed:
      raise ValueError('its record has changed since it was saved')
    if not _KEYS <= record.keys():
      raise ValueError('it is no checkpoint of a network of this project')
  return record


def state_fields(record: dict[str, Any]) -> set[str]:
  """The fields of the state that a checkpoint has."""
  return {name.partition('/')[0] for name in record['leaves']}


def read(
  path: epath.Path, record: dict[str, Any], only: set[str]
) -> dict[str, np.ndarray]:
  """The arrays of a checkpoint, each with the digest it was saved with.

  Args:
    path: of the checkpoint.
    record: its own.
    only: the fields of the state to read.

  Returns:
    {'params/head/dense/kernel': array}.

  Raises:
    Damaged: an array is missing, cannot be read, or has changed.
    UserError: this machine cannot read it.
  """
  with _reading(path):
    arrays = _arrays(path, only)
    expected = {
      name: entry
      for name, entry in record['leaves'].items()
      if name.partition('/')[0] in only
    }
    digests.check_equal(
      expected, arrays, lambda entry, x: entry == digests.describe(x)
    )
  return arrays


def _arrays(path: epath.Path, only: set[str]) -> dict[str, np.ndarray]:
  """What orbax restores."""
  with _checkpointer() as checkpointer:
    tree = checkpointer.metadata(path).item_metadata[_STATE].tree
    tree = {key: tree[key] for key in only}
    as_numpy = jax.tree.map(
      lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree
    )
    args = ocp.args.PyTreeRestore(
      item=tree, restore_args=as_numpy, partial_restore=True
    )
    args = ocp.args.Composite(**{_STATE: args})
    return trees.named_leaves(checkpointer.restore(path, args=args)[_STATE])


def steps(directory: epath.Path) -> list[int]:
  """The steps that have a checkpoint in a folder, whole or damaged, sorted."""
  if not directory.is_dir():
    return []
  return sorted(
    int(path.name)
    for path in directory.iterdir()
    if path.name.isdecimal() and ocp.utils.is_checkpoint_finalized(path)
  )


def is_unfinished(path: epath.Path) -> bool:
  """Whether a folder is what a save that was cut off has left."""
  return ocp.utils.is_tmp_checkpoint(path)


def _checkpointer() -> ocp.Checkpointer:
  # One process writes all, and each reads for itself: none waits for another.
  process = jax.process_index()
  alone = ocp.options.MultiprocessingOptions(
    primary_host=process,
    active_processes={process},
    barrier_sync_key_prefix=f'process{process}',
  )
  handler = ocp.CompositeCheckpointHandler(
    composite_options=ocp.CompositeOptions(multiprocessing_options=alone),
    **{
      _STATE: ocp.PyTreeCheckpointHandler(
        use_compression=False, multiprocessing_options=alone
      ),
      _RECORD: ocp.JsonCheckpointHandler(multiprocessing_options=alone),
    },
  )
  return ocp.Checkpointer(handler, multiprocessing_options=alone)


@contextlib.contextmanager
def _reading(path: epath.Path):
  """Says of whatever goes wrong with a checkpoint which one it is."""
  try:
    yield
  except MemoryError:
    raise
  except Exception as error:  # orbax has no class of its own for these
    number = error.errno if isinstance(error, OSError) else None
    if number in _ENVIRONMENT or _REFUSED.search(str(error)):
      reason = f'checkpoint {path} cannot be read: {_one_line(error)}'
      raise UserError(reason) from error
    raise DamagedCheckpoint(path, error) from error


def _one_line(reason: Any) -> str:
  if isinstance(reason, KeyError):
    reason = f'there is no {reason} in it'
  return ' '.join(str(reason).split())[:200] or type(reason).__name__
