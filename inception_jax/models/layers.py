"""The modules that the tables become."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from inception_jax.models.tables import Conv
from inception_jax.models.tables import Mixed
from inception_jax.models.tables import Pool
from inception_jax.models.tables import Residual
from inception_jax.models.tables import conv

CHANNEL_MULTIPLE = 8
HE = nn.initializers.variance_scaling(2.0, 'fan_in', 'truncated_normal')


@dataclasses.dataclass(frozen=True)
class Options:
  """What every layer of a network shares.

  Attributes:
    width: multiplier on every channel count.
    dtype: of the computation; parameters and statistics are float32.
    bn_momentum: share of the old value in BatchNorm's moving statistics.
    bn_epsilon: added to the variance.
  """

  width: float = 1.0
  dtype: Any = jnp.float32
  bn_momentum: float = 0.9997
  bn_epsilon: float = 1e-3

  def channels(self, features: int) -> int:
    """`features` times width, to the nearest multiple of 8, at least 8."""
    if self.width == 1.0:
      return features
    multiple = int(features * self.width / CHANNEL_MULTIPLE + 0.5)
    return max(1, multiple) * CHANNEL_MULTIPLE


class ConvBN(nn.Module):
  """`Conv` as a module. [B, H, W, C] → [B, H', W', features], `dtype`."""

  spec: Conv
  options: Options

  @nn.compact
  def __call__(self, x, train: bool):
    spec, options = self.spec, self.options
    narrow = nn.initializers.truncated_normal(spec.stddev)
    x = nn.Conv(
      options.channels(spec.features),
      spec.kernel,
      strides=spec.strides,
      padding=spec.padding,
      use_bias=False,
      dtype=options.dtype,
      kernel_init=narrow if spec.stddev else HE,
      name='conv',
    )(x)
    x = nn.BatchNorm(
      use_running_average=not train,
      momentum=options.bn_momentum,
      epsilon=options.bn_epsilon,
      dtype=options.dtype,
      name='bn',
    )(x)
    return nn.relu(x)


class MixedBlock(nn.Module):
  """`Mixed` as a module; stage j of branch i is named `branch{i}_{j}`."""

  spec: Mixed
  options: Options

  @nn.compact
  def __call__(self, x, train: bool):
    outputs = []
    for i, branch in enumerate(self.spec.branches):
      y = x
      for j, spec in enumerate(branch):
        y = stage(spec, self.options, f'branch{i}_{j}')(y, train)
      outputs.append(y)
    return jnp.concatenate(outputs, axis=-1)


class ResidualBlock(nn.Module):
  """`Residual` as a module. [B, H, W, C] → the same shape."""

  spec: Residual
  options: Options

  @nn.compact
  def __call__(self, x, train: bool):
    y = MixedBlock(self.spec.branches, self.options, name='branches')(x, train)
    y = nn.Conv(
      x.shape[-1], (1, 1), dtype=self.options.dtype, kernel_init=HE, name='up'
    )(y)
    x = x + self.spec.scale * y
    return nn.relu(x) if self.spec.relu else x


def pool(x, spec: Pool):
  """Applies `spec` to [B, H, W, C]; averages leave the padding out."""
  window, strides = (spec.size,) * 2, (spec.strides,) * 2
  if spec.kind == 'max':
    return nn.max_pool(x, window, strides=strides, padding=spec.padding)
  return nn.avg_pool(
    x,
    window,
    strides=strides,
    padding=spec.padding,
    count_include_pad=False,
  )


def stage(spec, options: Options, name: str):
  """The callable (x, train) → y of a table's entry."""
  match spec:
    case Conv():
      return ConvBN(spec, options, name=name)
    case Mixed():
      return MixedBlock(spec, options, name=name)
    case Residual():
      return ResidualBlock(spec, options, name=name)
    case Pool():
      return lambda x, train: pool(x, spec)
  raise TypeError(f'not a stage: {spec!r}')


class AuxHead(nn.Module):
  """The auxiliary classifier (GoogLeNet; Szegedy et al. 2015, figure 8).

  [B, 17, 17, C] → float32 logits [B, num_classes]. On smaller grids the
  windows shrink to the grid, as TF-slim's
  `_reduced_kernel_size_for_small_input` does.
  """

  num_classes: int
  options: Options

  @nn.compact
  def __call__(self, x, train: bool):
    window = min(5, x.shape[1])
    x = pool(x, Pool('avg', window, 3, 'VALID'))  # 5×5×C
    x = stage(conv(128), self.options, 'conv_0')(x, train)  # 5×5×128
    window = min(5, x.shape[1])
    spec = conv(768, window, padding='VALID', stddev=0.01)
    x = stage(spec, self.options, 'conv_1')(x, train)  # 1×1×768
    return Classifier(
      self.num_classes,
      self.options.dtype,
      nn.initializers.truncated_normal(0.001),
      name='head',
    )(x)


class Classifier(nn.Module):
  """Global average over [B, H, W, C], then dense: float32 [B, num_classes]."""

  num_classes: int
  dtype: Any
  kernel_init: Any = nn.initializers.glorot_uniform()
  dropout_rate: float = 0.0

  @nn.compact
  def __call__(self, x, train: bool = False):
    # Sums over many positions lose digits in bfloat16; they are few and cheap.
    x = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
    x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
    x = nn.Dense(
      self.num_classes,
      dtype=self.dtype,
      kernel_init=self.kernel_init,
      name='dense',
    )(x)
    return x.astype(jnp.float32)


class Inception(nn.Module):
  """A network of the family: walks `table`, then classifies.

  Attributes:
    table: ((name, spec), …) from the image to the last grid.
    aux_after: name of the stage that the auxiliary head reads.
    num_classes: width of the logits.
    aux_head: whether there is an auxiliary head. It runs in training only,
      so evaluation does not pay for it.
    dropout_rate: share of features dropped before the last dense layer.
    options: see `Options`.
  """

  table: tuple[tuple[str, Any], ...]
  aux_after: str
  num_classes: int
  aux_head: bool = False
  dropout_rate: float = 0.0
  options: Options = Options()

  @nn.compact
  def __call__(self, images, train: bool = False):
    """Classifies normalised images.

    Args:
      images: float [B, S, S, 3].
      train: batch statistics, dropout and the auxiliary head; needs the
        'dropout' key and mutable 'batch_stats'.

    Returns:
      float32 logits [B, num_classes], and the auxiliary head's, or None
      where it does not exist or does not run.
    """
    x = images.astype(self.options.dtype)
    aux = None
    for name, spec in self.table:
      x = stage(spec, self.options, name)(x, train)
      if name == self.aux_after and self.aux_head:
        if train or self.is_initializing():
          head = AuxHead(self.num_classes, self.options, name='aux')
          aux = head(x, train)
    logits = Classifier(
      self.num_classes,
      self.options.dtype,
      dropout_rate=self.dropout_rate,
      name='head',
    )(x, train)
    return logits, aux
