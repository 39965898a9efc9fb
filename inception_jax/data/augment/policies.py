"""AutoAugment and RandAugment: which operations are drawn for an image.

Operations that move pixels interpolate bilinearly and fill with `data.mean`, as
in MindCV's recipes. torchvision's default is the nearest pixel, on black; timm
draws bilinear or bicubic, and fills with the mean.
"""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp

from inception_jax.data.augment import image_ops
from inception_jax.data.augment import levels
from inception_jax.data.augment import pairs


@dataclasses.dataclass(frozen=True)
class Policy:
  """A policy, as an implementation has it.

  Attributes:
    level: (operation, fraction of the largest magnitude, (height, width)) → the
      level for `image_ops.apply`, a function of `levels`.
    max_magnitude: the largest magnitude.
    names: the operations that it draws, of `image_ops.NAMES` and 'invert'.
    pairs: AutoAugment's, of `pairs`; None for RandAugment.
    signed: the operations whose level is negated with probability 1/2.
    noisy: whether `data.policy_noise` applies; in RandAugment also
      `data.rand_probability`.
  """

  level: Callable
  max_magnitude: int
  names: tuple[str, ...]
  pairs: tuple | None = None
  signed: tuple[str, ...] = image_ops.MOVING + image_ops.BLENDING
  noisy: bool = False


def _autoaugment(level, max_magnitude, table, **others) -> Policy:
  names = tuple(dict.fromkeys(name for pair in table for name, *_ in pair))
  return Policy(level, max_magnitude, names, table, **others)


_MOVING, _BLENDING = image_ops.MOVING, image_ops.BLENDING
_TORCHVISION = (*_MOVING, *_BLENDING, 'posterize', 'solarize', 'autocontrast')
_TORCHVISION += ('equalize', 'identity')
_TIMM = (*_TORCHVISION[:-1], 'solarize_add', 'invert')
POLICIES = {
  'autoaugment': _autoaugment(levels.torchvision, 9, pairs.IMAGENET),
  'autoaugment_cifar10': _autoaugment(levels.torchvision, 9, pairs.CIFAR10),
  'autoaugment_original': _autoaugment(
    *(levels.mindcv_original, 10, pairs.IMAGENET_MINDCV),
    signed=_MOVING,
    noisy=True,
  ),
  'autoaugment_timm': _autoaugment(
    levels.timm_original, 10, pairs.IMAGENET, signed=_MOVING, noisy=True
  ),
  'randaugment': Policy(levels.torchvision, 30, _TORCHVISION),
  'randaugment_increasing': Policy(
    levels.timm_increasing, 10, _TIMM, noisy=True
  ),
}


def apply(key, image, data):
  """Applies `data.policy` to float32 [H, W, C] of whole numbers, 0…255."""
  names = tuple(map(applied_name, POLICIES[data.policy].names))
  fill = jnp.asarray(data.mean, jnp.float32)
  # Without `scan`, the program would contain every operation once per draw.
  image, _ = jax.lax.scan(
    lambda x, op: (image_ops.apply(x, *op, fill, names), None),
    image,
    draw(key, image.shape, data),
  )
  return image


def draw(key, shape, data):
  """Draws the operations of `data.policy` for an image of [H, W, C].

  Returns:
    int32 [n] indices into `image_ops.NAMES`, and float32 [n] levels. n is 2 in
    AutoAugment, `data.rand_ops` in RandAugment (Cubuk et al. 2019).
  """
  policy = POLICIES[data.policy]
  if policy.noisy:
    return _noisy(key, policy, shape, data)
  if policy.pairs:
    return _pair(key, policy, shape)
  fraction = data.rand_magnitude / policy.max_magnitude
  of_each = jnp.array([policy.level(n, fraction, shape) for n in policy.names])
  indices, sign = jax.random.split(key)
  indices = jax.random.randint(indices, (data.rand_ops,), 0, len(of_each))
  return _signed(sign, policy, indices, of_each[indices])


def _pair(key, policy: Policy, shape):
  """torchvision's AutoAugment, at fixed levels."""
  pair, applied, sign = jax.random.split(key, 3)
  pair = jax.random.randint(pair, (), 0, len(policy.pairs))
  column = lambda value: _column(policy, value)[pair]
  level = lambda name, _, magnitude: policy.level(
    name, magnitude / policy.max_magnitude, shape
  )
  indices = column(lambda name, probability, magnitude: _index(name))
  applied = jax.random.uniform(applied, (2,)) < column(_probability)
  indices = jnp.where(applied, indices, _index('identity'))
  return _signed(sign, policy, indices, column(level))


def _noisy(key, policy: Policy, shape, data):
  """timm's AutoAugment or RandAugment, with normal noise on each magnitude."""
  drawn, applied, sign, noise = jax.random.split(key, 4)
  if policy.pairs:
    pair = jax.random.randint(drawn, (), 0, len(policy.pairs))
    column = lambda value: _column(policy, value)[pair]
    names = column(
      lambda name, probability, magnitude: policy.names.index(name)
    )
    probabilities = column(_probability)
    magnitudes = column(lambda name, probability, magnitude: magnitude)
  else:
    names = jax.random.randint(drawn, (data.rand_ops,), 0, len(policy.names))
    probabilities, magnitudes = data.rand_probability, data.rand_magnitude
  noise = data.policy_noise * jax.random.normal(noise, names.shape)
  magnitudes = jnp.clip(magnitudes + noise, 0, policy.max_magnitude)

  def level_of(name, magnitude):
    fraction = magnitude / policy.max_magnitude
    of_each = [policy.level(n, fraction, shape) for n in policy.names]
    return jnp.array(of_each, jnp.float32)[name]

  applied = jax.random.uniform(applied, names.shape) < probabilities
  indices = jnp.array([_index(name) for name in policy.names])[names]
  indices = jnp.where(applied, indices, _index('identity'))
  return _signed(sign, policy, indices, jax.vmap(level_of)(names, magnitudes))


def _column(policy: Policy, value):
  """Returns value(operation, probability, magnitude) of all: [pairs, 2]."""
  return jnp.array([[value(*op) for op in pair] for pair in policy.pairs])


def _probability(name, probability, magnitude):
  del name, magnitude
  return probability


def _signed(key, policy: Policy, indices, of_draws):
  """Negates the levels of signed operations with probability 1/2."""
  signed = [name in policy.signed for name in image_ops.NAMES]
  flip = jax.random.bernoulli(key, shape=indices.shape)
  flip &= jnp.asarray(signed)[indices]
  return indices, jnp.where(flip, -of_draws, of_draws)


def _index(name: str) -> int:
  return image_ops.NAMES.index(applied_name(name))


def applied_name(name: str) -> str:
  """The operation of `image_ops` that a policy's operation is."""
  # At level 0, solarize inverts.
  return 'solarize' if name == 'invert' else name
