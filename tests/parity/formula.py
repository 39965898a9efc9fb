"""Computes weights, images and labels by formula; imports only numpy.

A tensor depends on its name and shape, so that every framework computes the
same numbers without reading a file.
"""

import zlib

import numpy as np

_MEANS = ('running_mean', 'moving_mean')
_VARIANCES = ('running_var', 'moving_variance')
_OFFSETS = ('bias', 'biases', 'beta')


def tensor(name: str, shape: tuple[int, ...], oihw: bool) -> np.ndarray:
  """Returns a float32 weight: kernels at He's scale, statistics near (0, 1)."""
  uniform = random_of(name).uniform(-1.0, 1.0, shape)
  ending = name.replace('/', '.').split('.')[-1]
  if len(shape) > 1:
    fan_in = np.prod(shape[1:] if oihw else shape[:-1])
    uniform *= np.sqrt(3.0 * 2.0 / fan_in)
  elif ending in _VARIANCES:
    uniform = 1.0 + 0.3 * uniform
  elif ending in _MEANS:
    uniform *= 0.2
  elif ending in _OFFSETS:
    # Far from 0, so that one ReLU in eight is always off and the others always
    # on. With inputs near 0, a deep network amplifies float32's rounding errors
    # to a few per cent of the gradient, in any framework.
    uniform = np.where(uniform < -0.75, -4.0, 4.0) + 0.5 * uniform
  else:  # γ
    uniform = 0.8 + 0.2 * uniform
  return uniform.astype(np.float32)


def images(batch: int, size: int) -> np.ndarray:
  """Returns float32 [B, S, S, 3] with the range of normalized images.

  They are white noise: between nearly equal neighbours, as in smooth images,
  rounding would decide which one a max pool selects. Their contrast and
  brightness differ: otherwise pooled features are nearly equal, and a BatchNorm
  over them, as in MindSpore's v4, divides by a tiny deviation.
  """
  random = random_of(f'images {size}')
  noise = random.uniform(-1.7, 1.7, (batch, size, size, 3))
  contrast = np.resize([0.2, 0.5, 1.0, 1.5], (batch, 1, 1, 1))
  brightness = np.resize([0.5, -0.5, 1.0, -1.0], (batch, 1, 1, 1))
  return (contrast * noise + brightness).astype(np.float32)


def training_batch(batch: int, size: int, step: int):
  """Returns a step's images, uint8 [B, S, S, 3], and labels, int32 [B]."""
  random = random_of(f'training {size} {step}')
  pixels = random.randint(0, 256, (batch, size, size, 3)).astype(np.uint8)
  return pixels, random.randint(0, 7, batch).astype(np.int32)


def labels(batch: int, num_classes: int) -> np.ndarray:
  """Returns int32 [B]."""
  return (np.arange(batch) * 3 % num_classes).astype(np.int32)


def projection(name: str, gradient: np.ndarray) -> tuple[float, float]:
  """Returns a random projection of a gradient, and its norm.

  The projection of a difference is on average as large as its norm. Comparing
  projections therefore shows a difference, without storing the gradients.
  """
  signs = (
    random_of(f'signs of {name}').randint(0, 2, gradient.shape) * 2.0 - 1.0
  )
  gradient = gradient.astype(np.float64)
  return float(np.sum(signs * gradient)), float(np.sqrt(np.sum(gradient**2)))


def random_of(name: str) -> np.random.RandomState:
  """Returns random numbers that depend on a name alone."""
  # RandomState, unlike Generator, is the same in every version of numpy.
  return np.random.RandomState(zlib.crc32(name.encode()))
