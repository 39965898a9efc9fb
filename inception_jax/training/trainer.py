"""Network, optimizer, first state and compiled step of a training."""

import logging
import time
from typing import Any

import jax
import numpy as np
import optax

from inception_jax import errors
from inception_jax import trees
from inception_jax.data import pipeline
from inception_jax.distributed import sharding
from inception_jax.models import batch_norm
from inception_jax.models import factory
from inception_jax.runtime import hardware
from inception_jax.runtime import progress_bar
from inception_jax.training import caching
from inception_jax.training import optimizer
from inception_jax.training import train_state
from inception_jax.training import train_step
from inception_jax.training import unfreezing

log = logging.getLogger(__name__)


class Trainer:
  """A network and its optimizer on a mesh; allocates nothing by itself.

  Attributes:
    model: the network.
    abstract: shapes, dtypes and shardings of the TrainState.
    freeze: what is frozen, as `config.fine_tune.freeze`.
  """

  def __init__(
    self,
    config,
    mesh: jax.sharding.Mesh,
    num_classes: int,
    rate: optax.Schedule,
    class_weights: np.ndarray | None = None,
    phase: int = 0,
  ):
    """Creates the network and the optimizer, and the shapes of their state.

    Args:
      config: the whole config, resolved.
      mesh: the devices; the batch is sharded over them.
      num_classes: outputs of the network.
      rate: step → learning rate.
      class_weights: float32 [num_classes], of the classes in the loss; None:
        all are 1.
      phase: of `fine_tune.unfreeze_at`, from 0.

    Raises:
      UserError: patterns of the config match no parameter, or batch_norm does
        not divide the batch.
    """
    *earlier, self.freeze = unfreezing.freezes(config.fine_tune)[: phase + 1]
    checked, config = config, config.copy_and_resolve_references()
    config.fine_tune.freeze = self.freeze
    self._config, self._mesh, self._rate = config, mesh, rate
    self._class_weights, self._phase = class_weights, phase
    batch = config.batch_size // config.gradient_accumulation
    replicas = batch_norm.groups(config.batch_norm, batch, mesh.size)
    self.model = factory.build(config, num_classes, replicas)
    self._tx = optimizer.make_optimizer(
      config.optimizer,
      rate,
      config.weight_decay,
      self.freeze,
      tuple(earlier) if config.fine_tune.unfreeze_at else None,
    )
    self._init = train_state.init_fn(config, self.model, self._tx)
    # Shardings first: arrays are created where they belong.
    self.abstract = train_state.abstract_state(
      self._init, mesh, config.optimizer.shard_state
    )
    params = self.abstract.params
    faults = optimizer.check_patterns(checked, params)
    if faults := faults + unfreezing.check_patterns(checked, params):
      raise errors.UserError(*faults)
    self._shardings = jax.tree.map(lambda x: x.sharding, self.abstract)

  def init(self) -> train_state.TrainState:
    """Creates the first state."""
    return sharding.jit_init(self._init, self._shardings)()

  def unfreeze(self, state: train_state.TrainState) -> train_state.TrainState:
    """Returns a state of the phase before as the first one of this phase.

    The optimizer's statistics of what was trained stay, others are initial.
    """

    def init(params, step):
      return optimizer.with_step(self._tx.init(params), step)

    shardings = self._shardings.opt_state
    fresh = jax.jit(init, out_shardings=shardings)(state.params, state.step)
    return state.replace(opt_state=trees.update(fresh, state.opt_state))

  def step(self, image_size: int = 0):
    """Returns the jitted (state, batch) → (state, metrics); donates state.

    It trains on images of `image_size` pixels; 0: of `data.image_size`.
    """
    config, mesh = self._config, self._mesh
    size = image_size or config.data.image_size
    return jax.jit(
      train_step.make_train_step(
        *(config, self.model, self._tx, self._rate, size, self._class_weights)
      ),
      in_shardings=(self._shardings, sharding.batch(mesh)),
      out_shardings=(self._shardings, sharding.replicated(mesh)),
      donate_argnums=0,
      compiler_options=hardware.compiler_options(mesh, config.deterministic),
    )

  def batch_spec(self) -> dict[str, np.ndarray]:
    """Returns the global batch of a step, as zeros that take no memory."""
    if self._config.fine_tune.cache_features:
      return caching.batch_spec(self._config, self.abstract.params)
    return pipeline.train_batch_spec(self._config)

  def lower(
    self, platforms: tuple[str, ...] | None = None, image_size: int = 0
  ):
    """Lowers the step for batches of the config's size.

    Args:
      platforms: other platforms than the mesh's, to inspect their program.
      image_size: see `step`.
    """
    batch = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(
        x.shape, x.dtype, sharding=sharding.batch(self._mesh)
      ),
      self.batch_spec(),
    )
    traced = self.step(image_size).trace(self.abstract, batch)
    return traced.lower(lowering_platforms=platforms)

  def compile(self):
    """Compiles the step for images of the config's size."""
    size = self._config.data.image_size
    return self.compile_sizes([size])[size]

  def compile_sizes(self, image_sizes: list[int]) -> dict[int, Any]:
    """Compiles `step` for each size, before the first batch; logs progress."""
    if self._phase == 0:
      for line in hardware.advice(self._mesh):
        log.info(line)
    return {size: self._compile(size) for size in image_sizes}

  def _compile(self, size: int):
    cached = self._config.fine_tune.cache_features
    log.info(
      'compiling the training step for %s; a full network may take minutes',
      'cached features' if cached else f'images of {size}×{size}',
    )
    start = time.perf_counter()
    compiled = self.lower(image_size=size).compile()
    memory = compiled.memory_analysis()
    log.info(
      'compiled in %s; a device needs %.2f GB',
      progress_bar.format_duration(time.perf_counter() - start),
      (memory.argument_size_in_bytes + memory.temp_size_in_bytes) / 1e9,
    )
    return compiled
