"""What the magnitude of an operation means, as each implementation has it.

Each function returns the level that `image_ops.apply` takes.
"""

import jax.numpy as jnp

from inception_jax.data.augment import image_ops

# The part of the image by which an operation translates at most.
_TORCHVISION_TRANSLATES = 150 / 331
_TIMM_TRANSLATES = 0.45


def torchvision(name: str, fraction: float, shape) -> float:
  """The level of torchvision 0.29's AutoAugment and RandAugment.

  Args:
    name: of `image_ops.NAMES`, or 'invert'.
    fraction: of the largest magnitude, 0…1.
    shape: (height, width) of the image.
  """
  if name.startswith('shear'):
    return 0.3 * fraction
  if name.startswith('translate'):
    length = shape[name == 'translate_x']
    return float(int(_TORCHVISION_TRANSLATES * fraction * length))
  if name == 'rotate':
    return 30.0 * fraction
  if name == 'posterize':
    return 8.0 - round(4 * fraction)
  if name == 'solarize':
    return 255 * (1 - fraction)
  return 0.9 * fraction if name in image_ops.BLENDING else 0.0


def timm_increasing(name: str, fraction, shape):
  """The level of timm 1.0's RandAugment with 'inc1'.

  The arguments are those of `torchvision`, but `fraction` is a float32 scalar.
  Every operation changes the image more as its magnitude increases. At the
  largest, posterize leaves a black image; Pillow 13 refuses to do so.
  """
  if name.startswith('translate'):
    return _TIMM_TRANSLATES * fraction * shape[name == 'translate_x']
  if name == 'posterize':
    return 4 - _whole(4 * fraction)
  if name == 'solarize':
    return 256 - _whole(256 * fraction)
  if name == 'solarize_add':
    return _whole(110 * fraction)
  return torchvision(name, fraction, shape)


def timm_original(name: str, fraction, shape):
  """The level of timm 1.0's AutoAugment policy 'original'."""
  if name == 'posterize':
    return 4 + _whole(4 * fraction)
  if name == 'solarize':
    return _whole(256 * fraction)
  if name in image_ops.BLENDING:
    return 1.8 * fraction - 0.9
  return timm_increasing(name, fraction, shape)


def mindcv_original(name: str, fraction, shape):
  """The level of MindCV 0.3's AutoAugment policy 'autoaug'.

  MindCV adapts timm's 'original'. It keeps 8 bits less those that timm keeps,
  and passes the level of a shear to MindSpore as degrees.
  """
  if name.startswith('shear'):
    return jnp.tan(jnp.deg2rad(timm_original(name, fraction, shape)))
  if name == 'posterize':
    return jnp.maximum(8 - timm_original(name, fraction, shape), 1)
  if name == 'solarize':
    return _whole(255 * fraction)
  return timm_original(name, fraction, shape)


def _whole(x):
  """Rounds down, except for a number just below a whole one."""
  return jnp.floor(x + 1e-4)
