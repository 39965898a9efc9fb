"""The tables that networks are written in; plain data, no framework.

A network is a tuple of named stages. A stage is a `Conv`, a `Pool`, a `Mixed`
or a `Residual` block; a `Mixed` block is a tuple of branches, each a chain of
stages, whose outputs are concatenated in order. `layers.stage` turns an entry
into its module; `output_size` follows the spatial size through it.
"""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Conv:
  """Convolution (no bias) → BatchNorm → ReLU.

  Attributes:
    features: output channels at width 1.
    kernel: height and width of the window.
    strides: the same in both directions.
    padding: 'SAME' or 'VALID'.
    stddev: σ of a truncated normal initialiser; 0 means He's, over fan-in,
      as in TF-slim's `inception_arg_scope`.
  """

  features: int
  kernel: tuple[int, int] = (1, 1)
  strides: int = 1
  padding: str = 'SAME'
  stddev: float = 0.0


@dataclasses.dataclass(frozen=True)
class Pool:
  """A 'max' or 'avg' pool with a square window."""

  kind: str
  size: int = 3
  strides: int = 1
  padding: str = 'SAME'


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


def conv(features: int, height: int = 1, width: int = 0, /, **kwargs) -> Conv:
  """`conv(64)` is 1×1, `conv(64, 3)` 3×3, `conv(64, 1, 7)` 1×7."""
  return Conv(features, (height, width or height), **kwargs)


def mixed(*branches) -> Mixed:
  """A `Mixed` block; a branch of one stage needs no tuple around it."""
  return Mixed(tuple(b if isinstance(b, tuple) else (b,) for b in branches))


AVG_POOL = Pool('avg')
MAX_POOL = Pool('max')
MAX_POOL_DOWN = Pool('max', strides=2, padding='VALID')
DOWN = {'strides': 2, 'padding': 'VALID'}
VALID = {'padding': 'VALID'}


def output_size(spec, size: int) -> int:
  """Height (= width) that `spec` leaves of `size`; below 1 it cannot run."""
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
    case Residual(branches=branches):
      return output_size(branches, size)
  if spec.padding == 'SAME':
    return -(-size // spec.strides)
  return (size - window) // spec.strides + 1
