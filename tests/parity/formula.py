"""Weights, images and labels by formula; needs numpy alone.

The same numbers in every framework, without a file: each tensor follows from
its name and shape in the framework it comes from.
"""

import zlib

import numpy as np

_MEANS = ('running_mean', 'moving_mean')
_VARIANCES = ('running_var', 'moving_variance')
_OFFSETS = ('bias', 'biases', 'beta')


def tensor(name: str, shape: tuple[int, ...], oihw: bool) -> np.ndarray:
  """A plausible weight, float32: He's scale, statistics near (0, 1)."""
  uniform = _random(name).uniform(-1.0, 1.0, shape)
  ending = name.replace('/', '.').split('.')[-1]
  if len(shape) > 1:
    fan_in = np.prod(shape[1:] if oihw else shape[:-1])
    uniform *= np.sqrt(3.0 * 2.0 / fan_in)
  elif ending in _VARIANCES:
    uniform = 1.0 + 0.3 * uniform
  elif ending in _MEANS:
    uniform *= 0.2
  elif ending in _OFFSETS:
    # Far from the ReLU's edge: one unit in eight is always off, the others
    # always on. With units at the edge, a deep network is chaotic, and blows
    # float32's rounding up to per cents of the gradient in any framework.
    uniform = np.where(uniform < -0.75, -4.0, 4.0) + 0.5 * uniform
  else:  # γ
    uniform = 0.8 + 0.2 * uniform
  return uniform.astype(np.float32)


def images(batch: int, size: int) -> np.ndarray:
  """float32 [B, S, S, 3], as if normalised.

  White noise: where neighbours are nearly equal, as in a smooth image, which
  of them a max pool lets through depends on the rounding. Each image has a
  contrast and a brightness of its own: pooled features of images of one kind
  are nearly equal, and a BatchNorm over them, as MindSpore's v4 has, divides
  by the little that differs.
  """
  random = _random(f'images {size}')
  noise = random.uniform(-1.7, 1.7, (batch, size, size, 3))
  contrast = np.resize([0.2, 0.5, 1.0, 1.5], (batch, 1, 1, 1))
  brightness = np.resize([0.5, -0.5, 1.0, -1.0], (batch, 1, 1, 1))
  return (contrast * noise + brightness).astype(np.float32)


def training_batch(batch: int, size: int, step: int):
  """uint8 [B, S, S, 3] and int32 [B] of a training's step."""
  random = _random(f'training {size} {step}')
  pixels = random.randint(0, 256, (batch, size, size, 3)).astype(np.uint8)
  return pixels, random.randint(0, 7, batch).astype(np.int32)


def labels(batch: int, num_classes: int) -> np.ndarray:
  """int32 [B]."""
  return (np.arange(batch) * 3 % num_classes).astype(np.int32)


def projection(name: str, gradient: np.ndarray) -> tuple[float, float]:
  """A random projection of a gradient, and its norm.

  The projection of a difference is as large as its norm, on average: so many
  parameters cannot all differ unseen, and none needs to be stored.
  """
  signs = _random(f'signs of {name}').randint(0, 2, gradient.shape) * 2.0 - 1.0
  gradient = gradient.astype(np.float64)
  return float(np.sum(signs * gradient)), float(np.sqrt(np.sum(gradient**2)))


def _random(name: str) -> np.random.RandomState:
  # RandomState, unlike Generator, gives the same in every version of numpy.
  return np.random.RandomState(zlib.crc32(name.encode()))
