"""AutoAugment and RandAugment: which operations are drawn for an image."""

import jax
import jax.numpy as jnp

from inception_jax.data.augment import image_ops

NAMES = ('autoaugment', 'randaugment')
MAX_MAGNITUDE = 30  # of RandAugment, on torchvision's scale

# Pairs of (operation, probability, magnitude in 0…9): the policy that Cubuk et
# al. 2018 learned on ImageNet (table 9), as in torchvision and timm
# ('original'). The magnitude is 0 for operations that have none.
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
  """Applies `data.policy` to float32 [H, W, C] of whole numbers, 0…255."""
  is_auto = data.policy == 'autoaugment'
  drawn = autoaugment(key) if is_auto else randaugment(key, image.shape, data)
  fill = jnp.asarray(data.mean, jnp.float32)
  # Without `scan`, the program would contain every operation once per draw.
  image, _ = jax.lax.scan(
    lambda x, op: (image_ops.apply(x, *op, fill), None), image, drawn
  )
  return image


def autoaugment(key):
  """Draws two operations: int32 [2] into `image_ops.NAMES`, float32 levels."""
  table = lambda column: jnp.array(
    [[column(*operation) for operation in pair] for pair in _IMAGENET]
  )
  pair, applied, sign = jax.random.split(key, 3)
  pair = jax.random.randint(pair, (), 0, len(_IMAGENET))
  probabilities = table(lambda name, probability, magnitude: probability)[pair]
  indices = table(lambda name, probability, magnitude: _index(name))[pair]
  levels = table(lambda name, _, magnitude: _level(name, magnitude / 9))[pair]
  applied = jax.random.uniform(applied, (2,)) < probabilities
  indices = jnp.where(applied, indices, _index('identity'))
  return _signed(sign, indices, levels)


def randaugment(key, shape, data):
  """Draws `data.rand_ops` operations (Cubuk et al. 2019), as `autoaugment`."""
  fraction = data.rand_magnitude / MAX_MAGNITUDE
  levels = [_level(name, fraction, shape) for name in image_ops.NAMES]
  levels = jnp.array(levels)
  indices, sign = jax.random.split(key)
  indices = jax.random.randint(indices, (data.rand_ops,), 0, len(levels))
  return _signed(sign, indices, levels[indices])


def _signed(key, indices, levels):
  """Negates the levels of signed operations with probability 1/2."""
  signed = [name in image_ops.SIGNED for name in image_ops.NAMES]
  flip = jax.random.bernoulli(key, shape=indices.shape)
  flip &= jnp.asarray(signed)[indices]
  return indices, jnp.where(flip, -levels, levels)


def _index(name: str) -> int:
  return image_ops.NAMES.index('solarize' if name == 'invert' else name)


def _level(name: str, fraction: float, shape=(0, 0, 0)) -> float:
  """torchvision's level for a fraction of the largest magnitude."""
  if name.startswith('shear'):
    return 0.3 * fraction
  if name.startswith('translate'):
    return float(int(150 / 331 * fraction * shape[name == 'translate_x']))
  if name == 'rotate':
    return 30.0 * fraction
  if name == 'posterize':
    return 8.0 - round(4 * fraction)
  if name == 'solarize':
    return 255 * (1 - fraction)
  return 0.9 * fraction if name in image_ops.SIGNED else 0.0
