"""How each platform computes convolutions and their gradients.

On CPUs, XLA hands the convolutions that YNNPACK supports to YNNPACK and the
others to Eigen, which is up to nine times faster (jaxlib 0.10.2, two cores, the
shapes of Inception-v4, eight images). YNNPACK supports no convolution whose
output or kernel has more rows or columns than the input
(`IsConvolutionOpSupportedByYnn` in xla/backends/cpu/ynn_support.cc), so extra
output columns, which are cut off again, or extra zeros select Eigen. A 1×1
convolution takes up to three times as long as the equivalent matrix product.
The kernel gradient of a small output takes up to three times as long as one
matrix product for each pixel of the kernel.

All functions take `ConvOptions` and two of x [B, H, W, C], kernel
[h, w, C, features] and grad [B, H', W', features], and return the third.
"""

from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

# Output pixels from which another way to the kernel gradient is the fastest.
_SOME_PIXELS, _MANY_PIXELS = 64, 900

_LAYOUT = ('NHWC', 'HWIO', 'NHWC')


class ConvOptions(NamedTuple):
  """Static parameters of a convolution and of its gradients.

  Attributes:
    size: height and width of the input.
    window: height and width of the kernel.
    strides: of rows and columns.
    pads: ((top, bottom), (left, right)).
    precision: of the products.
    batched: number of leading dimensions of both arguments, and of the result,
      over which `jax.vmap` maps. The functions of this module ignore it.
  """

  size: tuple[int, int]
  window: tuple[int, int]
  strides: tuple[int, int]
  pads: tuple[tuple[int, int], tuple[int, int]]
  precision: lax.Precision | None
  batched: int = 0

  @property
  def is_matmul(self) -> bool:
    """Whether each output pixel is a product with one input pixel."""
    pointwise = (1, 1), (1, 1), ((0, 0), (0, 0))
    return (self.window, self.strides, self.pads) == pointwise


def conv(x, kernel, options: ConvOptions):
  """XLA's own convolution."""
  return lax.conv_general_dilated(
    x,
    kernel,
    options.strides,
    options.pads,
    dimension_numbers=_LAYOUT,
    precision=options.precision,
  )


def input_gradient(grad, kernel, options: ConvOptions):
  """The gradient of `conv` with respect to x, as JAX derives it."""
  shape = grad.shape[0], *options.size, kernel.shape[2]
  x = jax.ShapeDtypeStruct(shape, grad.dtype)
  return jax.linear_transpose(lambda x: conv(x, kernel, options), x)(grad)[0]


def kernel_gradient(x, grad, options: ConvOptions):
  """The gradient of `conv` with respect to the kernel, as JAX derives it."""
  shape = *options.window, x.shape[3], grad.shape[3]
  kernel = jax.ShapeDtypeStruct(shape, grad.dtype)
  transpose = jax.linear_transpose(lambda k: conv(x, k, options), kernel)
  return transpose(grad)[0]


def cpu_conv(x, kernel, options: ConvOptions):
  """`conv`, faster on CPUs."""
  if options.is_matmul:
    return _contract(x, kernel[0, 0], 3, 0, options)
  return _eigen_conv(x, kernel, options)


def cpu_input_gradient(grad, kernel, options: ConvOptions):
  """`input_gradient`, faster on CPUs."""
  if options.is_matmul:
    return _contract(grad, kernel[0, 0], 3, 1, options)
  if options.strides != (1, 1):
    return input_gradient(grad, kernel, options)
  pads = tuple(
    (size - 1 - low, size - 1 - high)
    for size, (low, high) in zip(options.window, options.pads, strict=True)
  )
  turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
  return _eigen_conv(grad, turned, options._replace(pads=pads))


def cpu_kernel_gradient(x, grad, options: ConvOptions):
  """`kernel_gradient`, faster on CPUs."""
  pixels = grad.shape[1] * grad.shape[2]
  if not options.is_matmul:
    if options.strides == (1, 1) and pixels >= _MANY_PIXELS:
      return _kernel_gradient_by_conv(x, grad, options)
    if pixels < _SOME_PIXELS:
      return kernel_gradient(x, grad, options)
  return _kernel_gradient_by_matmuls(x, grad, options)


def _eigen_conv(x, kernel, options):
  """`conv` with extra output columns, so that Eigen computes it."""
  (height, width), (rows, columns) = options.window, options.pads
  if sum(rows) >= height or sum(columns) >= width:
    return conv(x, kernel, options)
  end = max(0, (x.shape[2] + sum(columns) - width) // options.strides[1] + 1)
  pads = (rows, (columns[0], width - columns[0]))
  return conv(x, kernel, options._replace(pads=pads))[:, :, :end]


def _kernel_gradient_by_conv(x, grad, options):
  """The kernel gradient as one convolution, with the batch as channels."""
  # With zeros that make `grad`, as a kernel, longer than the padded input.
  longer = np.argmin(options.window)
  zeros = [(0, options.window[i] if i == longer else 0) for i in range(2)]
  grad = jnp.pad(grad, ((0, 0), *zeros, (0, 0))).transpose(1, 2, 0, 3)
  x = jnp.pad(x, ((0, 0), *options.pads, (0, 0))).transpose(3, 1, 2, 0)
  options = options._replace(pads=tuple(zeros))
  return conv(x, grad, options).transpose(1, 2, 0, 3)


def _kernel_gradient_by_matmuls(x, grad, options):
  """The kernel gradient as a matrix product for each pixel of the kernel."""
  x = jnp.pad(x, ((0, 0), *options.pads, (0, 0)))
  rows, columns = (
    stride * (size - 1) + 1
    for stride, size in zip(options.strides, grad.shape[1:3], strict=True)
  )
  down, across = options.strides
  height, width = options.window
  flat = lambda a: a.reshape(-1, a.shape[-1])
  pixels = [
    _contract(
      flat(x[:, i : i + rows : down, j : j + columns : across]),
      flat(grad),
      *(0, 0, options),
    )
    for i in range(height)
    for j in range(width)
  ]
  return jnp.stack(pixels).reshape(height, width, x.shape[3], grad.shape[3])


def _contract(a, b, axis_of_a: int, axis_of_b: int, options):
  """Returns the product of a and b, summed over an axis of each."""
  axes = (axis_of_a,), (axis_of_b,)
  return lax.dot_general(a, b, (axes, ((), ())), precision=options.precision)
