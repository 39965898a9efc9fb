"""TrainState and its birth."""

from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from inception_jax import config as config_lib
from inception_jax import precision
from inception_jax import sharding

_MOST_DIFFERENCES = 20


@struct.dataclass
class TrainState:
  """All that training changes.

  There is no random state: every key is `fold_in(key(seed), step)`.

  Attributes:
    step: int32, steps done.
    params: float32 tree.
    batch_stats: float32 tree of BatchNorm's moving mean and variance.
    opt_state: of the optax optimizer.
    ema: {'params', 'batch_stats'}, their moving averages, or None if unused.
    loss_scale: a dynamic one, as `precision.kept`; else None.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: Any
  ema: Any
  loss_scale: Any = None

  def variables(self, ema: bool) -> dict[str, Any]:
    """What the network's `apply` takes: averaged where `ema` asks for it."""
    if ema:
      return self.ema
    return {'params': self.params, 'batch_stats': self.batch_stats}


def of_weights(variables: dict[str, Any]) -> TrainState:
  """Trained weights as a state of step 0 that has nothing else."""
  variables = jax.tree.map(jnp.asarray, variables)
  return TrainState(
    step=jnp.zeros((), jnp.int32), **variables, opt_state=None, ema=None
  )


def init_fn(config, model, tx: optax.GradientTransformation):
  """Returns the function of no arguments that makes the first TrainState."""

  def init():
    size = config.data.image_size
    images = jnp.zeros((1, size, size, config.data.channels))
    variables = model.init(jax.random.key(config.seed), images)
    params, batch_stats = variables['params'], variables['batch_stats']
    ema = None
    if config.ema_decay:
      # Copies, because donated buffers must not be shared between leaves.
      ema = jax.tree.map(
        jnp.copy, {'params': params, 'batch_stats': batch_stats}
      )
    return TrainState(
      step=jnp.zeros((), jnp.int32),
      params=params,
      batch_stats=batch_stats,
      opt_state=tx.init(params),
      ema=ema,
      loss_scale=precision.first_scale(config),
    )

  return init


def jit_init(init, shardings):
  """Compiles `init` so that every leaf is born where it belongs.

  Args:
    init: takes nothing, returns a tree of arrays.
    shardings: a tree like it, or one for all of it.
  """
  device = jax.tree.leaves(shardings)[0].mesh.devices.flat[0]
  # It runs once: on a CPU, optimising it would take longer than it ever will.
  hasty = {'xla_backend_optimization_level': 0}
  return jax.jit(
    init,
    out_shardings=shardings,
    compiler_options=hasty if device.platform == 'cpu' else None,
  )


def abstract(init, mesh: jax.sharding.Mesh, spread: bool = False) -> TrainState:
  """The shapes, dtypes and shardings of `init`'s state; nothing is made.

  Args:
    init: takes nothing, returns a TrainState.
    mesh: the devices.
    spread: whether what only the optimizer and the moving average need is
      split over them (ZeRO stage 1; Rajbhandari et al., arXiv:1910.02054).
  """

  def place(path, x):
    apart = spread and path[0].name in ('opt_state', 'ema')
    where = sharding.spread(mesh, x.shape) if apart else None
    where = where or sharding.replicated(mesh)
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)

  return jax.tree_util.tree_map_with_path(place, jax.eval_shape(init))


def num_params(params) -> int:
  """Trainable parameters; BatchNorm's γ and β count, its statistics do not."""
  return sum(x.size for x in jax.tree.leaves(params))


def named(tree) -> dict[str, Any]:
  """The leaves of a tree: {'params/head/dense/kernel': leaf}."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {_name(path): leaf for path, leaf in leaves}


def filled(abstract, arrays: dict[str, np.ndarray], origin):
  """The tree of these arrays, each placed where `abstract` says.

  Args:
    abstract: shapes, dtypes and shardings.
    arrays: by the names that `named` gives them, neither more nor fewer.
    origin: of the arrays, for the message.

  Raises:
    UserError: they are of another tree; every difference is listed.
  """
  if faults := _differences(arrays, named(abstract)):
    raise config_lib.UserError(f'{origin} is not of this config:', *faults)

  def place(path, wanted):
    array = arrays[_name(path)]
    return jax.make_array_from_callback(
      wanted.shape, wanted.sharding, lambda index: array[index]
    )

  return jax.tree_util.tree_map_with_path(place, abstract)


def _differences(stored: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
  """A line for each leaf that one has alone, or that is of another kind."""
  lines = []
  for name in sorted(stored.keys() | wanted.keys()):
    there, here = (tree.get(name) for tree in (stored, wanted))
    if there is None:
      lines.append(f'{name}: not in the checkpoint, {here.shape} here')
    elif here is None:
      lines.append(f'{name}: {there.shape} in the checkpoint, not here')
    else:
      for a, b in ((there.shape, here.shape), (there.dtype, here.dtype)):
        if a != b:
          lines.append(f'{name}: {a} in the checkpoint, {b} here')
          break
  return [f'  {line}' for line in config_lib.some(lines, _MOST_DIFFERENCES)]


def _name(path) -> str:
  return jax.tree_util.keystr(path, simple=True, separator='/')
