"""TrainState, and how the first one is created."""

from typing import Any

from clu import parameter_overview
from flax import struct
import jax
import jax.numpy as jnp
import optax

from inception_jax.distributed import sharding
from inception_jax.evaluation import outputs
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
    loss_scale: a dynamic one, as `loss_scale.to_state`; else None.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: Any
  ema: Any
  loss_scale: Any = None

  def variables(self, ema: bool) -> dict[str, Any]:
    """Returns the variables for the network's `apply`, averaged if `ema`."""
    if ema:
      return self.ema
    return {'params': self.params, 'batch_stats': self.batch_stats}


def from_weights(variables: dict[str, Any]) -> TrainState:
  """Returns a state of step 0 with trained weights and nothing else."""
  variables = jax.tree.map(jnp.asarray, variables)
  return TrainState(
    step=jnp.zeros((), jnp.int32), **variables, opt_state=None, ema=None
  )


def init_fn(config, model, tx: optax.GradientTransformation):
  """Returns a function of no arguments that creates the first TrainState."""

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
  init, mesh: jax.sharding.Mesh, shard: bool = False
) -> TrainState:
  """Returns shapes, dtypes and shardings of `init`'s state; allocates nothing.

  Args:
    init: takes nothing, returns a TrainState.
    mesh: the devices.
    shard: whether the optimizer's state and the moving average are sharded
      over them (ZeRO stage 1; Rajbhandari et al., arXiv:1910.02054).
  """

  def with_sharding(path, x):
    if shard and path[0].name in ('opt_state', 'ema'):
      placement = sharding.shard_longest_axis(mesh, x.shape)
    else:
      placement = sharding.replicated(mesh)
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=placement)

  return jax.tree_util.tree_map_with_path(with_sharding, jax.eval_shape(init))


def num_params(params) -> int:
  """Counts parameters: BatchNorm's γ and β included, its statistics not."""
  return sum(x.size for x in jax.tree.leaves(params))


def overview_table(params) -> str:
  """Returns a table of the parameters: names, shapes, dtypes, sizes, total."""
  return parameter_overview.get_parameter_overview(params, include_stats=False)


def fine_tune(
  state: TrainState, weights: Weights | None, class_names=()
) -> TrainState:
  """Returns the first state with trained weights, if there are any.

  Outputs of the weights that are the dataset's `class_names` become those of
  these classes.
  """
  if weights is None:
    return state
  order = outputs.order(
    class_names, weights.classes, weights.network.num_classes
  )
  variables = transfer.transfer(state.variables(ema=False), weights, order)
  ema = state.ema
  if ema is not None:
    # Copies, because donated buffers must not be shared between leaves.
    copies = jax.jit(
      lambda tree: jax.tree.map(jnp.copy, tree),
      out_shardings=jax.tree.map(lambda x: x.sharding, ema),
    )
    ema = copies(variables)
  return state.replace(**variables, ema=ema)
