"""Peer of `benchmarks.run --what=compile`: plain flax.

The same networks, built from the same tables with only flax's own layers, and a
training step of only the loss, its gradient and RMSProp: no augmentation, no
weight decay, no moving average of weights, no metrics but the loss.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from inception_jax.config import validation
from inception_jax.data import pipeline
from inception_jax.distributed import sharding
from inception_jax.models import architectures
from inception_jax.models.specs import Conv
from inception_jax.models.specs import Mixed
from inception_jax.models.specs import Pool
from inception_jax.models.specs import ProjectedResidual
from inception_jax.models.specs import Residual
from inception_jax.models.specs import conv


class Network(nn.Module):
  """Maps normalized images [B, S, S, C] to logits and auxiliary logits or None.

  `table` has the stages of a `specs.Architecture`, stem and body. The auxiliary
  head reads the stage `aux_after`; '' for no such head. `dropout_rate` is that
  before the last layer, `dtype` that of the computation.
  """

  table: tuple[tuple[str, Any], ...]
  aux_after: str
  num_classes: int
  dropout_rate: float
  dtype: Any

  @nn.compact
  def __call__(self, x):
    """Applies the network in training mode: dropout and batch statistics."""
    aux = None
    for name, spec in self.table:
      x = self._stage(spec, x)
      if name == self.aux_after:
        y = nn.avg_pool(x, (5, 5), (3, 3))
        for spec in conv(128), conv(768, min(5, y.shape[1]), padding='VALID'):
          y = self._stage(spec, y)
        aux = self._classify(y)
    return self._classify(x, self.dropout_rate), aux

  def _classify(self, x, dropout_rate=0.0):
    x = nn.Dropout(dropout_rate, deterministic=False)(x.mean(axis=(1, 2)))
    return nn.Dense(self.num_classes, dtype=self.dtype)(x).astype(jnp.float32)

  def _stage(self, spec, x):
    match spec:
      case Conv():
        x = self._conv(x, spec, use_bias=False)
        return nn.relu(self._norm(x))
      case Pool(size=size, strides=strides):
        pool = {'max': nn.max_pool, 'avg': nn.avg_pool}[spec.kind]
        return pool(x, (size,) * 2, (strides,) * 2, spec.padding)
      case Mixed(branches=branches):
        outputs = []
        for branch in branches:
          y = x
          for entry in branch:
            y = self._stage(entry, y)
          outputs.append(y)
        return jnp.concatenate(outputs, axis=-1)
      case Residual(branches=branches):
        y = self._conv(self._stage(branches, x), conv(x.shape[-1]))
        x += spec.scale * y
        return nn.relu(x) if spec.relu else x
      case ProjectedResidual(branches=branches):
        y = self._conv(self._stage(branches, x), conv(spec.features))
        x = self._conv(x, conv(spec.features)) + spec.scale * y
        return nn.relu(self._norm(x))
    raise TypeError(f'unknown stage: {spec!r}')

  def _conv(self, x, spec, **kwargs):
    args = (spec.features, spec.kernel, spec.strides, spec.padding)
    return nn.Conv(*args, dtype=self.dtype, **kwargs)(x)

  def _norm(self, x):
    return nn.BatchNorm(
      use_running_average=False, momentum=0.9997, epsilon=1e-3, dtype=self.dtype
    )(x)


def check(config) -> list[str]:
  """Returns the faults of a config that this step would not follow."""
  expected = lambda *values: (
    lambda value: value in values,
    f'{" or ".join(map(str, values))}, to compare with plain flax',
  )
  return validation.out_of_range(
    config,
    {
      'model.width': expected(1.0),
      'model.aux_batch_norm': expected(True),
      'model.head_batch_norm': expected(False),
      'gradient_accumulation': expected(1),
      'precision': expected('float32', 'bfloat16', 'float16'),
    },
  )


def network(config, num_classes: int) -> Network:
  """Builds the network of a resolved config."""
  architecture = architectures.ARCHITECTURES[config.model.name]
  return Network(
    architecture.stems[config.model.stem] + architecture.body,
    architecture.aux_after * config.model.aux_head,
    num_classes,
    config.model.dropout_rate,
    jnp.dtype(config.precision),
  )


def lower(config, mesh: jax.sharding.Mesh, num_classes: int):
  """Lowers a training step that shards the batch over a mesh.

  `config` must be resolved, and without faults by `check`.
  """
  init, step = init_and_step(config, mesh, num_classes)
  shapes = lambda tree, to: jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=to), tree
  )
  state = shapes(jax.eval_shape(init), sharding.replicated(mesh))
  batch = shapes(pipeline.train_batch_spec(config), sharding.batch(mesh))
  return step.lower(state, batch)


def init_and_step(config, mesh: jax.sharding.Mesh, num_classes: int):
  """Returns `init() → state` and a jitted `(state, batch) → (state, loss)`."""
  model = network(config, num_classes)
  tx = optax.rmsprop(config.schedule.learning_rate, momentum=0.9)
  shape = pipeline.train_batch_spec(config)['image'].shape

  def init():
    keys = {name: jax.random.key(0) for name in ('params', 'dropout')}
    variables = model.init(keys, jnp.zeros((1, *shape[1:])))
    return jnp.int32(0), variables, tx.init(variables['params'])

  def loss_of(params, stats, images, labels, key):
    logits, updates = model.apply(
      {'params': params, 'batch_stats': stats},
      images,
      mutable=['batch_stats'],
      rngs={'dropout': key},
    )
    targets = optax.smooth_labels(jax.nn.one_hot(labels, num_classes), 0.1)
    loss, aux = (
      0.0 if x is None else optax.softmax_cross_entropy(x, targets).mean()
      for x in logits
    )
    return loss + 0.4 * aux, updates['batch_stats']

  def step(state, batch):
    number, variables, opt_state = state
    params = variables['params']
    (loss, stats), grads = jax.value_and_grad(loss_of, has_aux=True)(
      params,
      variables['batch_stats'],
      batch['image'] / 127.5 - 1,
      batch['label'],
      jax.random.fold_in(jax.random.key(0), number),
    )
    updates, opt_state = tx.update(grads, opt_state, params)
    params = optax.apply_updates(params, updates)
    variables = {'params': params, 'batch_stats': stats}
    return (number + 1, variables, opt_state), loss

  replicated = sharding.replicated(mesh)
  return init, jax.jit(step, out_shardings=replicated, donate_argnums=0)
