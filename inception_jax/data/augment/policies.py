"""Which operations AutoAugment and RandAugment draw for an image."""

import jax
import jax.numpy as jnp
import numpy as np

from inception_jax.data.augment import image_ops

NAMES = ('autoaugment', 'randaugment')

MOST_MAGNITUDE = 30  # of RandAugment, on torchvision's scale

# Pairs of (operation, odds, magnitude of 0…9): the policy that Cubuk et al.
# 2018 found on ImageNet (table 9), as torchvision and timm ('original') have
# it. A magnitude that means nothing is 0.
_IMAGENET = (
  (('posterize', 0.4, 8), ('rotate', 0.6, 9)),
  (('solarize', 0.6, 5), ('autocontrast', 0.6, 0)),
  (('equalize', 0.8, 0), ('equalize', 0.6, 0)),
  (('posterize', 0.6, 7), ('posterize', 0.6, 6)),
  (('equalize', 0.4, 0), ('solarize', 0.2, 4)),
  (('equalize', 0.4, 0), ('rotate', 0.8, 8)),
  (('solarize', 0.6, 3), ('equalize', 0.6, 0)),
  (('posterize', 0.8, 5), ('equalize', 1.0, 0)),
  (('rotate', 0.2, 3), ('solarize', 0.6, 8)),
  (('equalize', 0.6, 0), ('posterize', 0.4, 6)),
  (('rotate', 0.8, 8), ('color', 0.4, 0)),
  (('rotate', 0.4, 9), ('equalize', 0.6, 0)),
  (('equalize', 0.0, 0), ('equalize', 0.8, 0)),
  (('invert', 0.6, 0), ('equalize', 1.0, 0)),
  (('color', 0.6, 4), ('contrast', 1.0, 8)),
  (('rotate', 0.8, 8), ('color', 1.0, 2)),
  (('color', 0.8, 8), ('solarize', 0.8, 7)),
  (('sharpness', 0.4, 7), ('invert', 0.6, 0)),
  (('shear_x', 0.6, 5), ('equalize', 1.0, 0)),
  (('color', 0.4, 0), ('equalize', 0.6, 0)),
  (('equalize', 0.4, 0), ('solarize', 0.2, 4)),
  (('solarize', 0.6, 5), ('autocontrast', 0.6, 0)),
  (('invert', 0.6, 0), ('equalize', 1.0, 0)),
  (('color', 0.6, 4), ('contrast', 1.0, 8)),
  (('equalize', 0.8, 0), ('equalize', 0.6, 0)),
)


def apply(key, image, data):
  """`data.policy` on one image: float32 [H, W, C] of whole numbers, 0…255."""
  if data.policy == 'autoaugment':
    drawn = autoaugment(key)
  else:
    drawn = randaugment(key, image.shape, data)
  fill = jnp.asarray(data.mean, jnp.float32)
  # Without `scan`, the operations would stand in the program once each.
  image, _ = jax.lax.scan(
    lambda x, op: (image_ops.apply(x, *op, fill), None), image, drawn
  )
  return image


def autoaugment(key):
  """Two operations: (int32 [2], indices of them, float32 [2], levels)."""
  indices, odds, levels = (
    np.array([[column(op) for op in pair] for pair in _IMAGENET])
    for column in (
      lambda op: _index(op[0]),
      lambda op: op[1],
      lambda op: _level(op[0], op[2] / 9),
    )
  )
  which, happens, sign = jax.random.split(key, 3)
  which = jax.random.randint(which, (), 0, len(_IMAGENET))
  happens = jax.random.uniform(happens, (2,)) < jnp.asarray(odds)[which]
  return _signed(
    sign,
    jnp.where(happens, jnp.asarray(indices)[which], _index('identity')),
    jnp.asarray(levels, jnp.float32)[which],
  )


def randaugment(key, shape, data):
  """`data.rand_ops` operations, as `autoaugment` (Cubuk et al. 2019)."""
  part = data.rand_magnitude / MOST_MAGNITUDE
  levels = jnp.array([_level(name, part, shape) for name in image_ops.NAMES])
  which, sign = jax.random.split(key)
  shape = (data.rand_ops,)
  which = jax.random.randint(which, shape, 0, len(image_ops.NAMES))
  return _signed(sign, which, levels[which])


def _signed(key, indices, levels):
  """Turns about half of the levels round that can be."""
  signed = [name in image_ops.SIGNED for name in image_ops.NAMES]
  flip = jax.random.bernoulli(key, shape=indices.shape)
  flip &= jnp.asarray(signed)[indices]
  return indices, jnp.where(flip, -levels, levels)


def _index(name: str) -> int:
  return image_ops.NAMES.index('solarize' if name == 'invert' else name)


def _level(name: str, part: float, shape=(0, 0, 0)) -> float:
  """What torchvision makes of the share `part` of the greatest magnitude."""
  if name.startswith('shear'):
    return 0.3 * part
  if name.startswith('translate'):
    return float(int(150 / 331 * part * shape[name == 'translate_x']))
  if name == 'rotate':
    return 30.0 * part
  if name == 'posterize':
    return 8.0 - round(4 * part)
  if name == 'solarize':
    return 255 * (1 - part)
  return 0.9 * part if name in image_ops.SIGNED else 0.0
