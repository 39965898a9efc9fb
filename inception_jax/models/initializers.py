"""First values of kernels and biases, as in the frameworks of the recipes."""

import math

import flax.linen as nn
import jax

# `model.kernel_init` → initializer of every kernel.
KERNEL_INITS = {
  # TF-slim's `inception_arg_scope`; some layers there have one of their own.
  'he_normal': nn.initializers.he_normal(),
  # MindCV's and MindSpore's.
  'xavier_uniform': nn.initializers.glorot_uniform(),
  # torch.nn.Conv2d's and Linear's: U(±1/√fan-in).
  'pytorch': nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform'),
}


def kernel(name: str, own=None):
  """Returns the initializer of a kernel.

  Args:
    name: a key of `KERNEL_INITS`.
    own: the layer's own one with 'he_normal'; None: the same as the others.
  """
  return own if own and name == 'he_normal' else KERNEL_INITS[name]


def bias(name: str, fan_in: int):
  """Returns the initializer of a bias: zeros, or PyTorch's U(±1/√fan-in)."""
  if name != 'pytorch':
    return nn.initializers.zeros_init()
  bound = 1 / math.sqrt(fan_in)

  def init(key, shape, dtype):
    return jax.random.uniform(key, shape, dtype, -bound, bound)

  return init
