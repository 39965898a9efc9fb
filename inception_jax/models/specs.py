"""The entries of the tables that define networks: plain data, no framework.

A network is a tuple of named stages. A stage is a `Conv`, a `Pool`, a `Mixed`
or a residual block; a `Mixed` block is a tuple of branches, each a chain of
stages, whose outputs are concatenated in order. `blocks.stage` turns an entry
into its module; `output_size` follows the spatial size through it.
"""

import dataclasses
from typing import Any

from inception_jax.models.card import Card

Padding = str | tuple[tuple[int, int], tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Conv:
  """Convolution (no bias) → BatchNorm → ReLU.

  Attributes:
    features: output channels at width 1.
    kernel: height and width of the window.
    strides: the same in both directions.
    padding: 'SAME', 'VALID' or `PAD_1`.
    stddev: σ of a truncated normal initializer; 0 is He's, over fan-in, as in
      TF-slim's `inception_arg_scope`.
    bare: whether BatchNorm and ReLU are left out.
  """

  features: int
  kernel: tuple[int, int] = (1, 1)
  strides: int = 1
  padding: Padding = 'SAME'
  stddev: float = 0.0
  bare: bool = False


@dataclasses.dataclass(frozen=True)
class Pool:
  """A 'max' or 'avg' pool with a square window."""

  kind: str
  size: int = 3
  strides: int = 1
  padding: Padding = 'SAME'


@dataclasses.dataclass(frozen=True)
class Mixed:
  """Branches over one input, concatenated over channels in this order."""

  branches: tuple[tuple[Any, ...], ...]


@dataclasses.dataclass(frozen=True)
class Residual:
  """`relu(x + scale · up(branches(x)))`.

  `up` is a 1×1 convolution to the channels of x, with a bias and without
  BatchNorm. The last block of a network has no ReLU.
  """

  branches: Mixed
  scale: float
  relu: bool = True


@dataclasses.dataclass(frozen=True)
class ProjectedResidual:
  """`relu(bn(shortcut(x) + scale · up(branches(x))))`.

  `shortcut` and `up` are 1×1 convolutions to `features` channels, each with a
  bias and without a BatchNorm of its own.
  """

  branches: Mixed
  features: int
  scale: float


# The stages whose branches stochastic depth drops.
RESIDUALS = (Residual, ProjectedResidual)


@dataclasses.dataclass(frozen=True)
class Architecture:
  """A network of the family as published.

  Attributes:
    stems: the tables of the first stages, by `model.stem`.
    body: the table of the stages after the stem.
    card: how its images are prepared.
    aux_after: the stage that the auxiliary head reads; '' if it has none.
    bn_epsilon, count_include_pad: see `NetworkConfig`.
  """

  stems: dict[str, tuple[tuple[str, Any], ...]]
  body: tuple[tuple[str, Any], ...]
  card: Card
  aux_after: str = ''
  bn_epsilon: float = 1e-3
  count_include_pad: bool = False


def conv(features: int, height: int = 1, width: int = 0, /, **kwargs) -> Conv:
  """`conv(64)` is 1×1, `conv(64, 3)` is 3×3, `conv(64, 1, 7)` is 1×7."""
  return Conv(features, (height, width or height), **kwargs)


def mixed(*branches) -> Mixed:
  """Returns a `Mixed` block; a branch of one stage may omit the tuple."""
  return Mixed(tuple(b if isinstance(b, tuple) else (b,) for b in branches))


# Unlike SAME, this pads both sides at stride 2 as well.
PAD_1 = ((1, 1), (1, 1))
DOWN = {'strides': 2, 'padding': 'VALID'}
VALID = {'padding': 'VALID'}
AVG_POOL = Pool('avg')
MAX_POOL = Pool('max')
MAX_POOL_DOWN = Pool('max', **DOWN)


def drop_path_rates(table, rate: float) -> dict[str, float]:
  """Returns the rate of each residual block: from 0, linearly, to `rate`.

  As in the paper and in timm's networks.
  """
  names = [name for name, spec in table if isinstance(spec, RESIDUALS)]
  last = max(1, len(names) - 1)
  return {name: rate * i / last for i, name in enumerate(names)}


def output_size(spec, size: int) -> int:
  """Returns the output height (= width); below 1, the input is too small."""
  match spec:
    case Conv(kernel=kernel):
      window = max(kernel)
    case Pool(size=window):
      pass
    case Mixed(branches=branches):
      sizes = [size] * len(branches)
      for i, branch in enumerate(branches):
        for entry in branch:
          sizes[i] = output_size(entry, sizes[i])
      return min(sizes)
    case Residual(branches=branches) | ProjectedResidual(branches=branches):
      return output_size(branches, size)
  if spec.padding == 'SAME':
    return -(-size // spec.strides)
  padded = size + 2 * (spec.padding == PAD_1)
  return (padded - window) // spec.strides + 1


def output_features(spec, features: int) -> int:
  """Returns the output channels at width 1, from those of the input."""
  match spec:
    case Conv(features=features) | ProjectedResidual(features=features):
      return features
    case Mixed(branches=branches):
      total = 0
      for branch in branches:
        channels = features
        for entry in branch:
          channels = output_features(entry, channels)
        total += channels
      return total
  return features  # a pool, a residual block
