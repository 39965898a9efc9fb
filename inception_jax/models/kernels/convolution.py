"""Convolutions, computed on each platform in the fastest way.

⟨grad, conv(x, kernel)⟩ is linear in each of grad, x and kernel. So each of the
primitives `_conv`, `_input_gradient` and `_kernel_gradient` is bilinear, and
its transposes are the other two. This gives forward-mode and reverse-mode
derivatives of any order.
"""

import functools

import jax
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.interpreters import ad
from jax.interpreters import batching
import jax.numpy as jnp

from inception_jax.models.kernels import convolution_lowerings as lowerings
from inception_jax.models.kernels.primitives import primitive

# The name of the output in `jax.checkpoint` policies.
CHECKPOINT_NAME = 'conv_output'


def conv_general_dilated(x, kernel, strides, padding, **kwargs):
  """`lax.conv_general_dilated`, for `flax.linen.Conv` to call.

  Inside `jax.shard_map`, differentiate with `check_vma=False`.

  Args:
    x: [B, H, W, C].
    kernel: [h, w, C, features].
    strides: of rows and columns.
    padding: 'SAME', 'VALID' or ((top, bottom), (left, right)).
    **kwargs: the other arguments of linen.Conv. Only `precision` is used: these
      networks have neither dilations nor groups.

  Returns:
    [B, H', W', features].
  """
  sizes = x.shape[1:3], kernel.shape[:2]
  if isinstance(padding, str):
    padding = lax.padtype_to_pads(*sizes, strides, padding)
  pads = tuple(tuple(pad) for pad in padding)
  options = lowerings.ConvOptions(
    *sizes, tuple(strides), pads, kwargs['precision']
  )
  y = _conv.bind(*_pvary(x, kernel), options=options)
  return checkpoint_name(y, CHECKPOINT_NAME)


def _pvary(*arrays):
  """Makes arrays vary over the same axes of `jax.shard_map`.

  Otherwise the gradient of a replicated kernel would not be summed.
  """
  axes = [jax.typeof(a).manual_axis_type.varying for a in arrays]
  every = frozenset.union(*axes)
  return [
    lax.pcast(a, tuple(every - own), to='varying')
    for a, own in zip(arrays, axes, strict=True)
  ]


def _bilinear(name: str, cpu, default):
  """Returns the primitive of a bilinear function."""

  def batched(function):
    def apply(a, b, options):
      f = functools.partial(function, options=options)
      for _ in range(options.batched):
        f = jax.vmap(f)
      return f(a, b)

    return apply

  return primitive(name, batched(cpu), batched(default))


# (x, kernel) → y
_conv = _bilinear('inception_conv', lowerings.cpu_conv, lowerings.conv)
# (grad, kernel) → x
_input_gradient = _bilinear(
  'inception_conv_input_gradient',
  lowerings.cpu_input_gradient,
  lowerings.input_gradient,
)
# (x, grad) → kernel
_kernel_gradient = _bilinear(
  'inception_conv_kernel_gradient',
  lowerings.cpu_kernel_gradient,
  lowerings.kernel_gradient,
)

ad.defbilinear(
  _conv,
  lambda grad, x, kernel, **o: _input_gradient.bind(grad, kernel, **o),
  lambda grad, x, kernel, **o: _kernel_gradient.bind(x, grad, **o),
)
ad.defbilinear(
  _input_gradient,
  lambda x, grad, kernel, **o: _conv.bind(x, kernel, **o),
  lambda x, grad, kernel, **o: _kernel_gradient.bind(x, grad, **o),
)
ad.defbilinear(
  _kernel_gradient,
  lambda kernel, x, grad, **o: _input_gradient.bind(grad, kernel, **o),
  lambda kernel, x, grad, **o: _conv.bind(x, kernel, **o),
)


def _batch(bilinear, shared_axes, args, dims, options):
  """The batching rule of a bilinear primitive.

  If one argument is mapped, the mapped axis is merged into an axis that only
  this argument and the result have.

  Args:
    bilinear: the primitive.
    shared_axes: of each argument, this axis in the argument and in the result.
    args: the two arguments.
    dims: the mapped axis of each, or None.
    options: of the primitive.

  Returns:
    The result and its mapped axis.
  """
  if None not in dims:
    args = [jnp.moveaxis(a, dim, 0) for a, dim in zip(args, dims, strict=True)]
    options = options._replace(batched=options.batched + 1)
    return bilinear.bind(*args, options=options), 0
  i = dims.index(None) ^ 1
  axis, y_axis = (options.batched + axis for axis in shared_axes[i])
  mapped = jnp.moveaxis(args[i], dims[i], axis)
  args = list(args)
  args[i] = lax.collapse(mapped, axis, axis + 2)
  y = bilinear.bind(*args, options=options)
  parts = mapped.shape[axis : axis + 2]
  return y.reshape(*y.shape[:y_axis], *parts, *y.shape[y_axis + 1 :]), y_axis


for _primitive, *_axes in (
  (_conv, (0, 0), (3, 3)),
  (_input_gradient, (0, 0), (2, 3)),
  (_kernel_gradient, (3, 2), (3, 3)),
):
  batching.primitive_batchers[_primitive] = functools.partial(
    _batch, _primitive, _axes
  )
