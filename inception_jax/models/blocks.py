"""Stages of several layers, and what each entry of a table becomes."""

import itertools

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp

from inception_jax.models.kernels import convolution
from inception_jax.models.layers import HE
from inception_jax.models.layers import ConvBN
from inception_jax.models.layers import LayerOptions
from inception_jax.models.layers import pool
from inception_jax.models.specs import Conv
from inception_jax.models.specs import Mixed
from inception_jax.models.specs import Pool
from inception_jax.models.specs import ProjectedResidual
from inception_jax.models.specs import Residual


class MixedBlock(nn.Module):
  """`Mixed` as a module; stage j of branch i is named `branch{i}_{j}`.

  Attributes:
    spec: the branches.
    options: see `Options`.
    join: whether they are concatenated here; else they are returned as a list.
  """

  spec: Mixed
  options: LayerOptions
  join: bool = True

  @nn.compact
  def __call__(self, x, train: bool):
    outputs = []
    convolved = self._convolved(x)
    for i, branch in enumerate(self.spec.branches):
      y, waiting = x, None
      for j, (spec, following) in enumerate(
        itertools.zip_longest(branch, branch[1:])
      ):
        name = f'branch{i}_{j}'
        if self._commute(spec, following):
          waiting = spec
        elif isinstance(spec, Conv):
          conv = ConvBN(spec, self.options, waiting, name=name)
          y, waiting = conv(y, train, convolved.get(name)), None
        elif isinstance(spec, Mixed):
          # At a branch's end it is joined with the others, for a copy less.
          join = following is not None
          y = MixedBlock(spec, self.options, join, name=name)(y, train)
        else:
          y = stage(spec, self.options, name)(y, train)
      outputs += y if isinstance(y, list) else [y]
    return jnp.concatenate(outputs, axis=-1) if self.join else outputs

  def _convolved(self, x) -> dict[str, jax.Array]:
    """What the 1×1 convolutions of x give, by their names.

    They are one, over all of their kernels, which reads x once. Empty where
    there are fewer than two.
    """
    if self.is_initializing() or self.options.folded:
      return {}
    names = []
    for i, branch in enumerate(self.spec.branches):
      j = int(self._commute(*branch[:2]))
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

  def _commute(self, spec, following=None) -> bool:
    """Whether a pool may come after the convolution that follows it.

    An average of what a 1×1 convolution gives is what it gives of the average,
    and has fewer channels. Not where it has a bias, and the padding counts as
    pixels without one; nor in whole numbers of eight bits, which would have to
    hold what the ReLU had not yet cut off.
    """
    options = self.options
    biased = options.folded and options.count_include_pad
    return (
      isinstance(spec, Pool)
      and spec.kind == 'avg'
      and _is_pointwise(following)
      and not biased
      and not options.whole_numbers
    )


def _is_pointwise(spec) -> bool:
  """Whether each pixel of what it gives depends on that pixel alone."""
  return isinstance(spec, Conv) and spec.kernel == (1, 1) and spec.strides == 1


def _sum(x, y):
  # As what a convolution gives: else, of `config.remat`, each block's input
  # would be computed again from the one before, and all lie there at once.
  return checkpoint_name(x + y, convolution.KEPT)


class ResidualBlock(nn.Module):
  """`Residual` as a module. [B, H, W, C] → the same shape."""

  spec: Residual
  options: LayerOptions

  @nn.compact
  def __call__(self, x, train: bool):
    y = MixedBlock(self.spec.branches, self.options, name='branches')(x, train)
    y = self.options.conv(x.shape[-1], (1, 1), kernel_init=HE, name='up')(y)
    x = _sum(x, y if self.options.folded else self.spec.scale * y)
    return nn.relu(x) if self.spec.relu else x


class ProjectedResidualBlock(nn.Module):
  """`ProjectedResidual` as a module. [B, H, W, C] → [B, H, W, features]."""

  spec: ProjectedResidual
  options: LayerOptions

  @nn.compact
  def __call__(self, x, train: bool):
    spec, options = self.spec, self.options

    def project(x, name):
      features = options.channels(spec.features)
      return options.conv(features, (1, 1), kernel_init=HE, name=name)(x)

    y = MixedBlock(spec.branches, options, name='branches')(x, train)
    y = project(y, 'up')
    y = y if options.folded else spec.scale * y
    x = _sum(project(x, 'shortcut'), y)
    return nn.relu(options.batch_norm(self, 'bn', train)(x))


def stage(spec, options: LayerOptions, name: str):
  """The callable (x, train) → y of a table's entry."""
  match spec:
    case Conv():
      return ConvBN(spec, options, name=name)
    case Mixed():
      return MixedBlock(spec, options, name=name)
    case Residual():
      return ResidualBlock(spec, options, name=name)
    case ProjectedResidual():
      return ProjectedResidualBlock(spec, options, name=name)
    case Pool():
      return lambda x, train: pool(x, spec, options)
  raise TypeError(f'not a stage: {spec!r}')
