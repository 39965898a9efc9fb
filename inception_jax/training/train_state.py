"""TrainState and its birth."""

from typing import Any

from clu import parameter_overview
from flax import struct
import jax
import jax.numpy as jnp
import optax

from inception_jax.distributed import sharding
from inception_jax.training import loss_scale as loss_scale_lib
from inception_jax.weights import transfer
from inception_jax.weights.convert import Weights


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


def from_weights(variables: dict[str, Any]) -> TrainState:
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
      loss_scale=loss_scale_lib.initial_state(config),
    )

  return init


def abstract_state(
  init, mesh: jax.sharding.Mesh, spread: bool = False
) -> TrainState:
  """The shapes, dtypes and shardings of `init`'s state; nothing is made.

  Args:
    init: takes nothing, returns a TrainState.
    mesh: the devices.
    spread: whether what only the optimizer and the moving average need is
      split over them (ZeRO stage 1; Rajbhandari et al., arXiv:1910.02054).
  """

  def place(path, x):
    apart = spread and path[0].name in ('opt_state', 'ema')
    where = sharding.split_evenly(mesh, x.shape) if apart else None
    where = where or sharding.replicated(mesh)
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)

  return jax.tree_util.tree_map_with_path(place, jax.eval_shape(init))


def num_params(params) -> int:
  """Trainable parameters; BatchNorm's γ and β count, its statistics do not."""
  return sum(x.size for x in jax.tree.leaves(params))


def overview_table(params) -> str:
  """A table of the parameters: names, shapes, dtypes, sizes, the total."""
  return parameter_overview.get_parameter_overview(params, include_stats=False)


def initialize_from(state: TrainState, weights: Weights | None) -> TrainState:
  """A new state with trained weights in it; without any, as it is."""
  if weights is None:
    return state
  variables = transfer.transfer(state.variables(ema=False), weights)
  ema = state.ema
  if ema is not None:
    # Copies, because donated buffers must not be shared between leaves.
    copies = jax.jit(
      lambda tree: jax.tree.map(jnp.copy, tree),
      out_shardings=jax.tree.map(lambda x: x.sharding, ema),
    )
    ema = copies(variables)
  return state.replace(**variables, ema=ema)
