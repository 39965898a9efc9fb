"""One checkpoint on disk: written atomically, verified by digests when read.

The only file that imports orbax. A checkpoint is a folder with two of orbax's
items: `state`, the arrays, and `record`, a JSON with the checkpoint's metadata
and the shape, dtype and SHA-256 of each array, since orbax restores flipped
bits without an error. The record has a digest of its own.
"""

import contextlib
import importlib.metadata
import json
import logging
import platform
from typing import Any

from etils import epath
import jax
import numpy as np
import orbax.checkpoint as ocp

from inception_jax import errors
from inception_jax import trees
from inception_jax.buckets import mirror
from inception_jax.checkpointing import bounds
from inception_jax.checkpointing import digests
from inception_jax.checkpointing import machine
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.runtime import disk
from inception_jax.runtime import files
from inception_jax.runtime import hardware

_KEYS = {'step', 'metrics', 'network', 'config', 'versions', 'leaves'}
_STATE = 'state'
_RECORD = 'record'
_RECORD_FILE = 'metadata'
# Written by orbax into each checkpoint's folder.
_ORBAX_MARKER = '_CHECKPOINT_METADATA'
_VERSIONS = {
  'python': platform.python_version(),
  **{
    name: importlib.metadata.version(name)
    for name in ('jax', 'flax', 'optax', 'orbax-checkpoint')
  },
}


class DamagedCheckpoint(UserError):
  """A checkpoint that differs from what was saved; names its path and why."""

  def __init__(self, path: epath.Path, reason: Any):
    super().__init__(f'checkpoint {path} is damaged: {_one_line(reason)}')


def write(
  path: epath.Path, state: dict[str, Any], record: dict[str, Any]
) -> None:
  """Writes a checkpoint atomically, reads it back and syncs it.

  Args:
    path: the checkpoint's folder, in an existing one.
    state: trees of numpy arrays, by field of the state.
    record: 'step', 'metrics', 'network' and 'config'; 'versions' and 'leaves'
      are added.

  Raises:
    RunError: it could not be written, or reads back differently.
  """
  arrays = trees.named_leaves(state)
  leaves = {name: digests.describe(x) for name, x in arrays.items()}
  versions = {
    **_VERSIONS,
    'devices': hardware.devices(),
    'machine': hardware.machine(),
  }
  record = {**record, 'versions': versions, 'leaves': leaves}
  items = {
    _STATE: ocp.args.PyTreeSave(state),
    _RECORD: ocp.args.JsonSave(digests.with_digest(record)),
  }
  try:
    with _checkpointer() as checkpointer, _without_tracebacks():
      checkpointer.save(path, args=ocp.args.Composite(**items))
    # Comparing with the arrays in memory costs less than hashing.
    back = _restore_arrays(path, state_fields(read_record(path)))
    digests.check_equal(arrays, back, digests.same_bytes)
    # orbax syncs the arrays, but neither the metadata nor the names.
    disk.sync(str(path))
  except Exception as error:  # orbax has no exception class of its own
    reason = f'checkpoint {path} was not saved: {_one_line(error)}'
    raise RunError(reason) from error


def write_record(path: epath.Path, record: dict[str, Any]) -> None:
  """Replaces the record of a checkpoint atomically."""
  file = path / _RECORD / _RECORD_FILE
  files.atomic_write(file, json.dumps(digests.with_digest(record)))
  disk.sync(str(file))


def read_record(path: epath.Path) -> dict[str, Any]:
  """Returns the record of a checkpoint, with 'versions' and 'leaves'.

  Raises:
    DamagedCheckpoint: it is not a complete checkpoint of this project.
    UserError: this machine cannot read it.
  """
  with _reading(path), _checkpointer() as checkpointer:
    bounds.check_regular(path)
    args = ocp.args.Composite(**{_RECORD: ocp.args.JsonRestore()})
    stored = checkpointer.restore(path, args=args)[_RECORD]
    record = stored['values']
    if digests.with_digest(record) != stored:
      raise ValueError('its record has changed since it was saved')
    if not _KEYS <= record.keys():
      raise ValueError('it was not saved by this project')
    if not all(map(_is_number, record['metrics'].values())):
      raise ValueError('its metrics are not all numbers')
  return record


def _is_number(value: Any) -> bool:
  return type(value) is float or (type(value) is int and abs(value) < 2**63)


def state_fields(record: dict[str, Any]) -> set[str]:
  """Returns the fields of the state that a checkpoint contains."""
  return {name.partition('/')[0] for name in record['leaves']}


def read_arrays(
  path: epath.Path, record: dict[str, Any], fields: set[str]
) -> dict[str, np.ndarray]:
  """Returns the arrays of these fields of the state, their digests verified.

  They are named by path: {'params/head/dense/kernel': array}.

  Raises:
    DamagedCheckpoint: an array is missing, cannot be read, or has changed.
    UserError: this machine cannot read it.
    RunError: the bucket that it is in cannot be read.
  """
  mirror.fetch(str(path))  # what fails here is no damage
  with _reading(path):
    arrays = _restore_arrays(path, fields)
    expected = {
      name: entry
      for name, entry in record['leaves'].items()
      if name.partition('/')[0] in fields
    }
    digests.check_equal(
      expected, arrays, lambda entry, x: entry == digests.describe(x)
    )
  return arrays


def _restore_arrays(
  path: epath.Path, fields: set[str]
) -> dict[str, np.ndarray]:
  """Restores arrays by orbax, without verifying them."""
  with _checkpointer() as checkpointer:
    tree = checkpointer.metadata(path).item_metadata[_STATE].tree
    tree = {key: tree[key] for key in fields}
    bounds.check_size(path / _STATE, jax.tree.leaves(tree))
    as_numpy = jax.tree.map(
      lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree
    )
    args = ocp.args.PyTreeRestore(
      item=tree, restore_args=as_numpy, partial_restore=True
    )
    args = ocp.args.Composite(**{_STATE: args})
    return trees.named_leaves(checkpointer.restore(path, args=args)[_STATE])


def is_checkpoint(path: epath.Path) -> bool:
  """Returns whether a folder is a checkpoint."""
  return (path / _ORBAX_MARKER).exists()


def is_unfinished(path: epath.Path) -> bool:
  """Returns whether a folder was left by an interrupted save."""
  return ocp.path.step.is_path_temporary(path)


def _checkpointer() -> ocp.Checkpointer:
  # One process writes everything and each reads on its own, without barriers.
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
      _RECORD: ocp.JsonCheckpointHandler(
        _RECORD_FILE, multiprocessing_options=alone
      ),
    },
  )
  return ocp.Checkpointer(handler, multiprocessing_options=alone)


@contextlib.contextmanager
def _without_tracebacks():
  """Leaves out what orbax's threads log of an error that is raised anyway."""
  absl = logging.getLogger('absl')
  without = lambda record: not record.exc_info
  absl.addFilter(without)
  try:
    yield
  finally:
    absl.removeFilter(without)


@contextlib.contextmanager
def _reading(path: epath.Path):
  """Converts errors of reading a checkpoint; the new ones name its path."""
  try:
    yield
  except Exception as error:  # orbax has no exception class of its own
    if cause := machine.cause(error, str(path)):
      reason = f'checkpoint {path} cannot be read: {_one_line(cause)}'
      raise UserError(reason) from error
    raise DamagedCheckpoint(path, error) from error


def _one_line(reason: Any) -> str:
  if isinstance(reason, KeyError):
    reason = f'{reason} is missing'
  return machine.disk_error(reason) or errors.one_line(reason)
