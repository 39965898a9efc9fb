"""Max pools as each platform computes them fastest: the same maxima.

On CPUs XLA walks windows one number at a time, and the gradient finds every
maximum again, with its place as four whole numbers: 91 ms where a maximum of
shifted inputs, and choices between them, take 6 (jaxlib 0.10.2, two cores, 3×3
over [8, 147, 147, 64]). Other platforms get what they always did. Forward-mode
differentiation is not to be had, as in `convolution`.
"""

import functools
import itertools
from typing import NamedTuple

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from inception_jax.models.kernels.convolution import by_platform


def max_pool(x, size: int, stride: int, padding):
  """`flax.linen.max_pool` of squares: [B, H, W, C] → [B, H', W', C].

  The gradient goes to the first of equal maxima, as everywhere.

  Args:
    x: of any floating-point dtype.
    size: of the window, at most 15.
    stride: of rows and columns.
    padding: 'SAME', 'VALID' or ((top, bottom), (left, right)).
  """
  if isinstance(padding, str):
    square = (size,) * 2, (stride,) * 2
    padding = lax.padtype_to_pads(x.shape[1:3], *square, padding)
  return _pool(x, _How(size, stride, tuple(map(tuple, padding))))


class _How(NamedTuple):
  """What a pool is, beside its input."""

  size: int
  stride: int
  pads: tuple[tuple[int, int], tuple[int, int]]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _pool(x, how):
  return by_platform(_cpu, _plain, how, x)


def _forward(x, how):
  return _pool(x, how), x


def _backward(how, x, grad):
  return (by_platform(_cpu_gradient, _plain_gradient, how, x, grad),)


_pool.defvjp(_forward, _backward)


def _plain(x, how):
  if x.dtype == jnp.float16:
    # Exact, and the gradient needs it: of float16 XLA makes a scatter for
    # TPUs, for which each gathers the whole batch.
    return _plain(x.astype(jnp.float32), how).astype(x.dtype)
  return nn.max_pool(
    x,
    window_shape=(how.size,) * 2,
    strides=(how.stride,) * 2,
    padding=how.pads,
  )


def _plain_gradient(x, grad, how):
  return jax.vjp(functools.partial(_plain, how=how), x)[1](grad)[0]


def _cpu(x, how):
  return functools.reduce(jnp.maximum, _places(x, how))


def _places(x, how):
  """What is at each place of all windows."""
  # Once, not for each place anew.
  around = ((0, 0), *how.pads, (0, 0))
  x = lax.optimization_barrier(jnp.pad(x, around, constant_values=-jnp.inf))
  rows, columns = ((n - how.size) // how.stride + 1 for n in x.shape[1:3])
  span = lambda first, count: slice(
    first, first + how.stride * (count - 1) + 1, how.stride
  )
  places = itertools.product(range(how.size), repeat=2)
  return [x[:, span(i, rows), span(j, columns)] for i, j in places]


def _cpu_gradient(x, grad, how):
  size, stride = how.size, how.stride
  values = _places(x, how)
  highest = functools.reduce(jnp.maximum, values)
  which = jnp.full(grad.shape, len(values) - 1, jnp.uint8)
  for i in reversed(range(len(values) - 1)):
    which = jnp.where(values[i] == highest, jnp.uint8(i), which)
  # Once, not for each place anew.
  which = lax.optimization_barrier(which)

  # The input in blocks of a stride: of each pixel of these, the windows that it
  # is in, which begin in its block or in one before.
  blocks = [
    -(-(n + sum(pad)) // stride)
    for n, pad in zip(x.shape[1:3], how.pads, strict=True)
  ]
  before = (size - 1) // stride
  rims = [
    (before, n - count)
    for n, count in zip(blocks, grad.shape[1:3], strict=True)
  ]
  around = ((0, 0), *rims, (0, 0))
  which = jnp.pad(which, around, constant_values=255)
  grad = jnp.pad(grad, around)
  none = jnp.zeros((x.shape[0], *blocks, x.shape[3]), grad.dtype)

  def given(i, j):
    """To the pixels of all blocks that are place (i, j) of a window."""
    rows, columns = (
      slice(before - place // stride, before - place // stride + n)
      for place, n in zip((i, j), blocks, strict=True)
    )
    chosen = which[:, rows, columns] == i * size + j
    return jnp.where(chosen, grad[:, rows, columns], 0)

  def pixel(row, column):
    places = itertools.product(
      range(row, size, stride), range(column, size, stride)
    )
    return sum(itertools.starmap(given, places), none)

  whole = jnp.stack(
    [
      jnp.stack([pixel(i, j) for j in range(stride)], axis=3)
      for i in range(stride)
    ],
    axis=2,
  ).reshape(x.shape[0], blocks[0] * stride, blocks[1] * stride, x.shape[3])
  (top, _), (left, _) = how.pads
  return whole[:, top : top + x.shape[1], left : left + x.shape[2]]
