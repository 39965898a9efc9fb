"""What a training consists of: network, optimizer, first state, step."""

import logging
import time

import jax
import optax

from inception_jax import errors
from inception_jax.data import pipeline
from inception_jax.distributed import sharding
from inception_jax.models import factory
from inception_jax.runtime import hardware
from inception_jax.runtime import progress_bar
from inception_jax.training import optimizer
from inception_jax.training import train_state
from inception_jax.training import train_step

log = logging.getLogger(__name__)


class Trainer:
  """A network and its optimizer on a mesh; nothing is made before it is asked.

  Attributes:
    model: the network.
    abstract: shapes, dtypes and shardings of the TrainState.
  """

  def __init__(
    self,
    config,
    mesh: jax.sharding.Mesh,
    num_classes: int,
    rate: optax.Schedule,
  ):
    """Plans it.

    Args:
      config: the whole config, resolved.
      mesh: the devices; the batch is split over them.
      num_classes: outputs of the network.
      rate: step → learning rate.

    Raises:
      UserError: patterns of the config fit no parameter.
    """
    self._config, self._mesh, self._rate = config, mesh, rate
    replicas = mesh.size if config.batch_norm == 'replica' else 1
    self.model = factory.build(config, num_classes, replicas)
    self._tx = optimizer.make_optimizer(config, rate)
    self._init = train_state.init_fn(config, self.model, self._tx)
    # Nothing is made before its sharding is known.
    self.abstract = train_state.abstract_state(
      self._init, mesh, config.optimizer.shard_state
    )
    if faults := optimizer.check_patterns(config, self.abstract.params):
      raise errors.UserError(*faults)
    self._shardings = jax.tree.map(lambda x: x.sharding, self.abstract)

  def init(self) -> train_state.TrainState:
    """The first state."""
    return sharding.jit_init(self._init, self._shardings)()

  def step(self):
    """The jitted (state, batch) → (state, metrics); the state is donated."""
    mesh = self._mesh
    return jax.jit(
      train_step.make_train_step(
        self._config, self.model, self._tx, self._rate
      ),
      in_shardings=(self._shardings, sharding.batch(mesh)),
      out_shardings=(self._shardings, sharding.replicated(mesh)),
      donate_argnums=0,
      compiler_options=hardware.compiler_options(
        mesh, self._config.deterministic
      ),
    )

  def lower(self, platforms: tuple[str, ...] | None = None):
    """The step, lowered for batches as the config says.

    Args:
      platforms: other ones than the mesh's, to read what is computed there.
    """
    batch = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(
        x.shape, x.dtype, sharding=sharding.batch(self._mesh)
      ),
      pipeline.train_batch_spec(self._config),
    )
    traced = self.step().trace(self.abstract, batch)
    return traced.lower(lowering_platforms=platforms)

  def compile(self):
    """The step, compiled before the first batch; says what it will need."""
    for line in hardware.advice(self._mesh):
      log.info(line)
    log.info('compiling the training step; a full network may take minutes')
    start = time.perf_counter()
    compiled = self.lower().compile()
    memory = compiled.memory_analysis()
    log.info(
      'compiled in %s; a device needs %.2f GB',
      progress_bar.format_duration(time.perf_counter() - start),
      (memory.argument_size_in_bytes + memory.temp_size_in_bytes) / 1e9,
    )
    return compiled
