"""Stages of several layers, and the module of each entry of a table."""

import itertools

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp

from inception_jax.models import layers
from inception_jax.models import specs
from inception_jax.models.kernels import convolution


class MixedBlock(nn.Module):
  """The module of a `Mixed`; stage j of branch i is named `branch{i}_{j}`.

  Attributes:
    spec: the branches.
    options: see `LayerOptions`.
    concatenate: whether to concatenate the branches' outputs or return a list.
  """

  spec: specs.Mixed
  options: layers.LayerOptions
  concatenate: bool = True

  @nn.compact
  def __call__(self, x, train: bool):
    outputs = []
    convolved = self._merged_pointwise(x)
    for i, branch in enumerate(self.spec.branches):
      y, deferred_pool = x, None
      for j, (spec, following) in enumerate(
        itertools.zip_longest(branch, branch[1:])
      ):
        name = f'branch{i}_{j}'
        if self._pool_commutes(spec, following):
          deferred_pool = spec
        elif isinstance(spec, specs.Conv):
          conv = layers.ConvBN(spec, self.options, deferred_pool, name=name)
          y = conv(y, train, convolved.get(name))
          deferred_pool = None
        elif isinstance(spec, specs.Mixed):
          # At the end of a branch, one concatenation serves both blocks.
          concatenate = following is not None
          y = MixedBlock(spec, self.options, concatenate, name=name)(y, train)
        else:
          y = stage(spec, self.options, name)(y, train)
      outputs += y if isinstance(y, list) else [y]
    return jnp.concatenate(outputs, axis=-1) if self.concatenate else outputs

  def _merged_pointwise(self, x) -> dict[str, jax.Array]:
    """Returns the outputs of the 1×1 convolutions of x, by layer name.

    They are computed as one convolution, which reads x once. {} if there are
    fewer than two.
    """
    if self.is_initializing() or self.options.folded:
      return {}
    names = []
    for i, branch in enumerate(self.spec.branches):
      j = int(self._pool_commutes(*branch[:2]))
      if _is_pointwise(branch[j]):
        names.append(f'branch{i}_{j}')
    if len(names) < 2:
      return {}
    params = self.variables['params']
    kernels = [params[name]['conv']['kernel'] for name in names]
    ends = list(itertools.accumulate(kernel.shape[-1] for kernel in kernels))
    conv = self.options.conv(ends[-1], (1, 1), use_bias=False, parent=None)
    kernel = jnp.concatenate(kernels, axis=-1)
    y = conv.apply({'params': {'kernel': kernel}}, x)
    return dict(zip(names, jnp.split(y, ends[:-1], axis=-1), strict=True))

  def _pool_commutes(self, spec, following=None) -> bool:
    """Returns whether a pool may be applied after the convolution it precedes.

    Average pools commute with 1×1 convolutions, and pooling the output costs
    less, since it has fewer channels. They do not commute if the convolution
    has a bias and the pool counts its padding, which has none. With 8-bit
    integers the order stays, since the quantized range would have to cover
    values that the ReLU has not yet cut off.
    """
    options = self.options
    biased = options.folded and options.count_include_pad
    return (
      isinstance(spec, specs.Pool)
      and spec.kind == 'avg'
      and _is_pointwise(following)
      and not biased
      and not options.int8
    )


def _is_pointwise(spec) -> bool:
  """Returns whether each output pixel depends on one input pixel alone."""
  return (
    isinstance(spec, specs.Conv) and spec.kernel == (1, 1) and spec.strides == 1
  )


def _saved_sum(x, y):
  # With `config.remat`, saved like a convolution's output. Otherwise each
  # block's input would be recomputed from the previous block's, and all of them
  # be in memory at once.
  return checkpoint_name(x + y, convolution.CHECKPOINT_NAME)


def _drop_path(y, rate: float, train: bool):
  """Stochastic depth (Huang et al. 2016): drops y [B, H, W, C] of some images.

  What is left is divided by 1 − rate, as by timm's `DropPath`, so that
  evaluations need no factor. Draws from 'dropout'.
  """
  return nn.Dropout(rate, (1, 2, 3), deterministic=not train)(y)


class ResidualBlock(nn.Module):
  """The module of a `Residual`: [B, H, W, C] → [B, H, W, C]."""

  spec: specs.Residual
  options: layers.LayerOptions
  drop_path_rate: float = 0.0

  @nn.compact
  def __call__(self, x, train: bool):
    y = MixedBlock(self.spec.branches, self.options, name='branches')(x, train)
    up = self.options.biased_pointwise(x.shape[-1], y.shape[-1], 'up')
    y = up(y) if self.options.folded else self.spec.scale * up(y)
    x = _saved_sum(x, _drop_path(y, self.drop_path_rate, train))
    return nn.relu(x) if self.spec.relu else x


class ProjectedResidualBlock(nn.Module):
  """The module of a `ProjectedResidual`: [B, H, W, C] → [B, H, W, features]."""

  spec: specs.ProjectedResidual
  options: layers.LayerOptions
  drop_path_rate: float = 0.0

  @nn.compact
  def __call__(self, x, train: bool):
    spec, options = self.spec, self.options

    def project(x, name):
      features = options.channels(spec.features)
      return options.biased_pointwise(features, x.shape[-1], name)(x)

    y = MixedBlock(spec.branches, options, name='branches')(x, train)
    y = project(y, 'up')
    y = y if options.folded else spec.scale * y
    y = _drop_path(y, self.drop_path_rate, train)
    x = _saved_sum(project(x, 'shortcut'), y)
    return nn.relu(options.batch_norm(self, 'bn', train)(x))


def stage(
  spec, options: layers.LayerOptions, name: str, drop_path_rate: float = 0.0
):
  """Returns the callable (x, train) → y of a table's entry.

  `drop_path_rate` is a residual block's probability to drop its branches.
  """
  match spec:
    case specs.Conv():
      return layers.ConvBN(spec, options, name=name)
    case specs.Mixed():
      return MixedBlock(spec, options, name=name)
    case specs.Residual():
      return ResidualBlock(spec, options, drop_path_rate, name=name)
    case specs.ProjectedResidual():
      return ProjectedResidualBlock(spec, options, drop_path_rate, name=name)
    case specs.Pool():
      return lambda x, train: layers.pool(x, spec, options)
  raise TypeError(f'unknown stage: {spec!r}')
