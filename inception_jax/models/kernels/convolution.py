"""Convolutions as each platform computes them fastest: the same sums.

On CPUs XLA leaves them to YNNPACK where that knows them, else to Eigen, which
is the faster by up to nine times (jaxlib 0.10.2, two cores, the shapes of
Inception-v4, eight images). YNNPACK knows none whose output, or whose kernel,
has more rows or columns than the input (`IsConvolutionOpSupportedByYnn` in
xla/backends/cpu/ynn_support.cc): a few that are cut off, or zeros, make Eigen
do it. A kernel of one pixel takes up to three times as long as the matrix
product that it is; and the gradient of a kernel, where the output is small, up
to three times as long as a product for each of the kernel's pixels. Other
platforms get what they always did.

As with all that has a gradient of its own, forward-mode differentiation (jvp)
is not to be had.
"""

import functools
from typing import NamedTuple

import jax
from jax import lax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp
import numpy as np

KEPT = 'kept'  # the name of its output for policies of `jax.checkpoint`

# Of an output: what is the fastest way to its kernel's gradient changes there.
_SOME_PIXELS, _MANY_PIXELS = 64, 1024

_POINTWISE = (1, 1), (1, 1), ((0, 0), (0, 0))

_LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def conv_general_dilated(x, kernel, strides, padding, **kwargs):
  """`lax.conv_general_dilated`, for `flax.linen.Conv` to call.

  Args:
    x: [B, H, W, C].
    kernel: [h, w, C, features].
    strides: of rows and columns.
    padding: 'SAME', 'VALID' or ((top, bottom), (left, right)).
    **kwargs: what else linen.Conv says, of which the precision counts; there
      is neither dilation nor are there groups in these networks.

  Returns:
    [B, H', W', features].
  """
  if isinstance(padding, str):
    sizes = x.shape[1:3], kernel.shape[:2]
    padding = lax.padtype_to_pads(*sizes, strides, padding)
  pads = tuple(tuple(pad) for pad in padding)
  how = _How(tuple(strides), pads, kwargs['precision'])
  return checkpoint_name(_conv(x, kernel, how), KEPT)


class _How(NamedTuple):
  """What a convolution is, beside its arrays."""

  strides: tuple[int, int]
  pads: tuple[tuple[int, int], tuple[int, int]]
  precision: lax.Precision | None


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x, kernel, how):
  return by_platform(_cpu, _plain, how, x, kernel)


def _forward(x, kernel, how):
  return _conv(x, kernel, how), (x, kernel)


def _backward(how, inputs, grad):
  return by_platform(_cpu_gradients, _plain_gradients, how, *inputs, grad)


_conv.defvjp(_forward, _backward)


def by_platform(cpu, default, how, *arrays):
  """Either of two functions of arrays and `how`: the lowering decides."""
  cpu, default = (functools.partial(f, how=how) for f in (cpu, default))
  return lax.platform_dependent(*arrays, cpu=cpu, default=default)


def _plain(x, kernel, how):
  return lax.conv_general_dilated(
    x,
    kernel,
    how.strides,
    how.pads,
    dimension_numbers=_LAYOUT,
    precision=how.precision,
  )


def _plain_gradients(x, kernel, grad, how):
  return jax.vjp(functools.partial(_plain, how=how), x, kernel)[1](grad)


def _cpu(x, kernel, how):
  if _is_product(kernel, how):
    return _product(x, kernel[0, 0], 3, 0, how.precision)
  return _wide(x, kernel, how)


def _wide(x, kernel, how):
  """`_plain` with as many columns of padding as the kernel has, cut off."""
  (height, width), (rows, columns) = kernel.shape[:2], how.pads
  if sum(rows) >= height or sum(columns) >= width:
    return _plain(x, kernel, how)
  end = max(0, (x.shape[2] + sum(columns) - width) // how.strides[1] + 1)
  pads = (rows, (columns[0], width - columns[0]))
  return _plain(x, kernel, how._replace(pads=pads))[:, :, :end]


def _cpu_gradients(x, kernel, grad, how):
  # Whichever of these is not returned is never computed.
  of_x, of_kernel = _plain_gradients(x, kernel, grad, how)
  is_product = _is_product(kernel, how)
  if is_product:
    of_x = _product(grad, kernel[0, 0], 3, 1, how.precision)
  elif how.strides == (1, 1):
    around = tuple(
      (size - 1 - low, size - 1 - high)
      for size, (low, high) in zip(kernel.shape[:2], how.pads, strict=True)
    )
    turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    of_x = _wide(grad, turned, how._replace(pads=around))
  pixels = grad.shape[1] * grad.shape[2]
  if not is_product and how.strides == (1, 1) and pixels >= _MANY_PIXELS:
    of_kernel = _by_image(x, kernel.shape, grad, how)
  elif is_product or pixels >= _SOME_PIXELS:
    of_kernel = _by_pixel(x, kernel.shape, grad, how)
  return of_x, of_kernel


def _by_image(x, shape, grad, how):
  """The kernel's gradient: all that a channel met by all that came of it."""
  # Along one axis more zeros than would fit the input.
  longer = np.argmin(shape[:2])
  zeros = [(0, shape[i] if i == longer else 0) for i in range(2)]
  grad = jnp.pad(grad, ((0, 0), *zeros, (0, 0))).transpose(1, 2, 0, 3)
  x = jnp.pad(x, ((0, 0), *how.pads, (0, 0))).transpose(3, 1, 2, 0)
  how = _How((1, 1), tuple(zeros), how.precision)
  return _plain(x, grad, how).transpose(1, 2, 0, 3)


def _by_pixel(x, shape, grad, how):
  """The kernel's gradient: of each pixel, what it met by what came of it."""
  x = jnp.pad(x, ((0, 0), *how.pads, (0, 0)))
  rows, columns = (
    stride * (size - 1) + 1
    for stride, size in zip(how.strides, grad.shape[1:3], strict=True)
  )
  down, across = how.strides
  flat = lambda a: a.reshape(-1, a.shape[-1])
  pixels = [
    _product(
      flat(x[:, i : i + rows : down, j : j + columns : across]),
      flat(grad),
      *(0, 0, how.precision),
    )
    for i in range(shape[0])
    for j in range(shape[1])
  ]
  return jnp.stack(pixels).reshape(shape)


def _is_product(kernel, how) -> bool:
  return (kernel.shape[:2], how.strides, how.pads) == _POINTWISE


def _product(a, b, axis_of_a: int, axis_of_b: int, precision):
  """Σ over an axis of each."""
  axes = (axis_of_a,), (axis_of_b,)
  return lax.dot_general(a, b, (axes, ((), ())), precision=precision)
