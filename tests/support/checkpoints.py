"""Small states, saved as checkpoints."""

import contextlib
import resource

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from inception_jax import trees
from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.distributed import sharding


def make_state(step, mesh, width=3):
  """Returns the fields of a state whose weights are `step`."""
  put = lambda x: jax.device_put(x, sharding.replicated(mesh))
  return {
    'step': put(jnp.int32(step)),
    'params': {'w': put(jnp.full((width,), float(step)))},
    'batch_stats': {'mean': put(jnp.zeros((2,)))},
    'opt_state': (put(jnp.ones((width,))),),
    'ema': None,
  }


def save_all(folder, top1_of_steps, mesh, keep_latest=2):
  """Saves a checkpoint for each {step: top-1, or None if not evaluated}."""
  with CheckpointManager(folder, keep_latest) as checkpoints:
    for step, top1 in top1_of_steps.items():
      metrics = {} if top1 is None else {'top1': top1}
      checkpoints.save(make_state(step, mesh), metrics, {})


def restore(folder, like):
  """Restores a folder's newest checkpoint, with the shardings of `like`."""
  abstract = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like
  )
  _, _, arrays = CheckpointManager(folder).resume()
  return trees.restore(abstract, arrays, folder)


def read_step(folder, step):
  """Returns all arrays of a checkpoint."""
  return CheckpointDirectory(folder).read_step(step, checkpoint.state_fields)


def read_with_orbax(workdir, step):
  """Reads the state of a run's checkpoint by orbax alone, as numpy arrays."""
  folder = lookup.checkpoint_folder(str(workdir)).absolute()
  path = folder / str(step) / 'state'
  checkpointer = ocp.PyTreeCheckpointer()
  as_numpy = jax.tree.map(
    lambda _: ocp.RestoreArgs(restore_type=np.ndarray),
    checkpointer.metadata(path).item_metadata.tree,
  )
  return checkpointer.restore(path, restore_args=as_numpy)


def names_in(folder):
  return sorted(path.name for path in folder.iterdir())


@contextlib.contextmanager
def file_size_limit(size):
  """Lets writes of this process fail beyond `size` bytes, like a full disk."""
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
