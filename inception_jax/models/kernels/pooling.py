"""Max pools, computed on each platform in the fastest way.

On CPUs, XLA walks the windows one number at a time, and its gradient searches
for every maximum again and stores its place as four integers: 91 ms where a
maximum of shifted inputs and selections between them take 6 ms (jaxlib 0.10.2,
two cores, 3×3 over [8, 147, 147, 64]). Other platforms get XLA's default
lowering, except for the tangent, which is the same everywhere.

For a given input, the tangent and the gradient are each other's transposes.
Both are constant in the input almost everywhere.
"""

import functools
import itertools
from typing import NamedTuple

import flax.linen as nn
import jax
from jax import lax
from jax.extend.core import jaxpr_as_fun
from jax.interpreters import ad
from jax.interpreters import batching
from jax.interpreters import partial_eval
import jax.numpy as jnp

from inception_jax.models.kernels.primitives import primitive


def max_pool(x, size: int, stride: int, padding):
  """`flax.linen.max_pool` of squares: [B, H, W, C] → [B, H', W', C].

  The gradient goes to the first of equal maxima, as in XLA.

  Args:
    x: of any floating-point dtype.
    size: of the window, at most 15.
    stride: of rows and columns.
    padding: 'SAME', 'VALID' or ((top, bottom), (left, right)).
  """
  if isinstance(padding, str):
    square = (size,) * 2, (stride,) * 2
    padding = lax.padtype_to_pads(x.shape[1:3], *square, padding)
  options = _Options(size, stride, tuple(map(tuple, padding)))
  return _pool.bind(x, options=options)


class _Options(NamedTuple):
  """Static parameters of a pool and of its derivatives."""

  size: int
  stride: int
  pads: tuple[tuple[int, int], tuple[int, int]]


def _default(x, options):
  if x.dtype == jnp.float16:
    # Exact, and the gradient needs it: for float16, XLA makes a scatter on
    # TPUs, for which each device gathers the whole batch.
    return _default(x.astype(jnp.float32), options).astype(x.dtype)
  return nn.max_pool(
    x,
    window_shape=(options.size,) * 2,
    strides=(options.stride,) * 2,
    padding=options.pads,
  )


def _default_gradient(x, grad, options):
  pool = functools.partial(_default, options=options)
  traced = jax.make_jaxpr(lambda x, grad: jax.vjp(pool, x)[1](grad))(x, grad)
  # Removes the forward pass, which the gradient does not use.
  jaxpr, _ = partial_eval.dce_jaxpr(traced.jaxpr, [True], instantiate=True)
  return jaxpr_as_fun(traced.replace(jaxpr=jaxpr))(x, grad)[0]


def _cpu(x, options):
  return functools.reduce(jnp.maximum, _places(x, options, -jnp.inf))


def _places(x, options, padding):
  """The pixels at each place of all windows, place by place."""
  around = ((0, 0), *options.pads, (0, 0))
  x = jnp.pad(x, around, constant_values=padding)
  # The barrier makes XLA pad once, not for each place again.
  x = lax.optimization_barrier(x)
  size, stride = options.size, options.stride
  rows, columns = ((n - size) // stride + 1 for n in x.shape[1:3])
  span = lambda first, count: slice(
    first, first + stride * (count - 1) + 1, stride
  )
  places = itertools.product(range(size), repeat=2)
  return [x[:, span(i, rows), span(j, columns)] for i, j in places]


def _select(x, tangent, options):
  """The tangent at the first maximum of each window of x."""
  which = _first_maximum(x, options)
  y, *others = _places(tangent, options, 0)
  for i, place in enumerate(others, start=1):
    y = jnp.where(which == i, place, y)
  return y


def _first_maximum(x, options):
  """The place of the first maximum of each window, as uint8."""
  values = _places(x, options, -jnp.inf)
  highest = functools.reduce(jnp.maximum, values)
  which = jnp.full(highest.shape, len(values) - 1, jnp.uint8)
  for i in reversed(range(len(values) - 1)):
    which = jnp.where(values[i] == highest, jnp.uint8(i), which)
  # The barrier makes XLA compute it once, not for each place again.
  return lax.optimization_barrier(which)


def _cpu_gradient(x, grad, options):
  """Adds the gradient of each window to the pixel of its first maximum."""
  size, stride = options.size, options.stride
  which = _first_maximum(x, options)
  # The input consists of blocks of stride × stride pixels. The windows that a
  # pixel is in begin in its own block or in one before.
  blocks = [
    -(-(n + sum(pad)) // stride)
    for n, pad in zip(x.shape[1:3], options.pads, strict=True)
  ]
  before = (size - 1) // stride
  rims = [
    (before, n - count)
    for n, count in zip(blocks, grad.shape[1:3], strict=True)
  ]
  around = ((0, 0), *rims, (0, 0))
  which = jnp.pad(which, around, constant_values=255)
  grad = jnp.pad(grad, around)
  zeros = jnp.zeros((x.shape[0], *blocks, x.shape[3]), grad.dtype)

  def gradient_at(i, j):
    """The gradients of the windows in which the pixel is at place (i, j)."""
    rows, columns = (
      slice(before - place // stride, before - place // stride + n)
      for place, n in zip((i, j), blocks, strict=True)
    )
    chosen = which[:, rows, columns] == i * size + j
    return jnp.where(chosen, grad[:, rows, columns], 0)

  def pixel(row, column):
    """The gradient of pixel (row, column) of every block."""
    places = itertools.product(
      range(row, size, stride), range(column, size, stride)
    )
    return sum(itertools.starmap(gradient_at, places), zeros)

  whole = jnp.stack(
    [
      jnp.stack([pixel(i, j) for j in range(stride)], axis=3)
      for i in range(stride)
    ],
    axis=2,
  ).reshape(x.shape[0], blocks[0] * stride, blocks[1] * stride, x.shape[3])
  (top, _), (left, _) = options.pads
  return whole[:, top : top + x.shape[1], left : left + x.shape[2]]


# x → y; (x, tangent of x) → tangent of y; (x, gradient of y) → gradient of x
_pool = primitive('inception_max_pool', _cpu, _default)
_tangent = primitive('inception_max_pool_tangent', _select, _select)
_gradient = primitive(
  'inception_max_pool_gradient', _cpu_gradient, _default_gradient
)

ad.defjvp(_pool, lambda t, x, **o: _tangent.bind(x, t, **o))
for _linear, _transpose in ((_tangent, _gradient), (_gradient, _tangent)):
  ad.deflinear2(
    _linear, lambda t, x, _, p=_transpose, **o: (None, p.bind(x, t, **o))
  )
  # Linear in the second argument alone, and constant in the first.
  ad.defjvp(_linear, None, lambda t, x, _, p=_linear, **o: p.bind(x, t, **o))


def _batch(pool, args, dims, **options):
  """The batching rule: merges the mapped axis into the batch."""
  mapped = list(zip(args, dims, strict=True))
  count = next(a.shape[dim] for a, dim in mapped if dim is not None)
  args = [batching.bdim_at_front(a, dim, count) for a, dim in mapped]
  y = pool.bind(*(lax.collapse(a, 0, 2) for a in args), **options)
  return y.reshape(*args[0].shape[:2], *y.shape[1:]), 0


for _primitive in (_pool, _tangent, _gradient):
  batching.primitive_batchers[_primitive] = functools.partial(
    _batch, _primitive
  )
