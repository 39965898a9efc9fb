"""Augmentation and normalization on the device, in JAX.

Batches arrive as uint8 and leave as normalized float32. Every draw depends on
the key alone, which the training step folds from the seed and its number.
"""

import jax
import jax.numpy as jnp
import numpy as np

from inception_jax.data.augment import colors
from inception_jax.data.augment import policies
from inception_jax.data.augment.image_ops import rotation
from inception_jax.data.augment.image_ops import warp


def normalize(images, data):
  """Returns (x − mean) / std in float32, of [B, S, S, C] in 0…255.

  Of a numpy array, numpy computes it, to the last bit as XLA does: that divides
  by a row of numbers as it is written here.
  """
  shape = (1,) * (images.ndim - 1) + (-1,)  # under strict promotion of ranks
  mean = np.asarray(data.mean, np.float32).reshape(shape)
  std = np.asarray(data.std, np.float32).reshape(shape)
  return (images.astype(np.float32) - mean) * (np.float32(1) / std)


def train_batch(key, batch, data, num_classes: int):
  """Augments and normalizes a batch: `AUGMENTATIONS`, then mixup or CutMix.

  Args:
    key: the draws depend on nothing else.
    batch: {'image': uint8 [B, S, S, C], 'label': int32 [B]}.
    data: `config.data`, resolved.
    num_classes: N.

  Returns:
    float32 images [B, S, S, C] and float32 targets [B, N]. Each target is a
    distribution, over two classes after mixup or CutMix.
  """
  keys = iter(jax.random.split(key, len(AUGMENTATIONS) + 1))
  images = _augment(keys, batch['image'], data)
  targets = jax.nn.one_hot(batch['label'], num_classes)
  if data.mixup or data.cutmix:
    images, targets = _mix(next(keys), images, targets, data)
  return normalize(images, data), targets


def view(key, image, data):
  """Augments an image as `train_batch` does: float32 [S, S, C], in 0…255."""
  keys = iter(jax.random.split(key, len(AUGMENTATIONS)))
  return _augment(keys, image[None], data)[0]


def _augment(keys, images, data):
  for is_enabled, augment in AUGMENTATIONS.values():
    if is_enabled(data):
      images = augment(next(keys), images, data)
  return images.astype(jnp.float32)


def per_image(function):
  """Returns `function(key, image, data)`, of float32 [H, W, C], for a batch."""

  def augment(key, images, data):
    keys = jax.random.split(key, images.shape[0])
    images = images.astype(jnp.float32)
    return jax.vmap(lambda k, x: function(k, x, data))(keys, images)

  return augment


def _shift(key, images, data):
  """Pads each image with black and crops it back at a random place."""
  pad = data.pad
  padded = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
  corners = jax.random.randint(key, (len(images), 2), 0, 2 * pad + 1)
  crop = lambda image, corner: jax.lax.dynamic_slice(
    image, (*corner, 0), images.shape[1:]
  )
  return jax.vmap(crop)(padded, corners)


def _flip(key, images, data):
  """Mirrors half of the images, left to right."""
  del data
  flips = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
  return jnp.where(flips, images[:, :, ::-1], images)


def _rotate(key, image, data):
  """Rotates by up to `data.rotate` degrees to either side, on black."""
  degrees = jax.random.uniform(key, minval=-data.rotate, maxval=data.rotate)
  rotated = warp(image, rotation(degrees), jnp.zeros(image.shape[-1]))
  return jnp.round(rotated)  # as PIL does, and as policies require


def _erase(key, image, data):
  """Random erasing (Zhong et al. 2017) with probability `data.erase`."""
  height, width, channels = image.shape
  keys = jax.random.split(key, 5)
  low, high = data.erase_area
  area = height * width * jax.random.uniform(keys[0], minval=low, maxval=high)
  low, high = jnp.log(jnp.asarray(data.erase_ratio))
  ratio = jnp.exp(jax.random.uniform(keys[1], minval=low, maxval=high))
  box = jnp.round(jnp.sqrt(jnp.stack([area * ratio, area / ratio])))
  box = jnp.minimum(box, jnp.asarray([height, width]))
  free = jnp.asarray([height, width]) - box
  start = jnp.floor(jax.random.uniform(keys[2], (2,)) * (free + 1))
  inside = _in_box(start, start + box, height, width)
  erased = jax.random.bernoulli(keys[3], data.erase)
  # Normalization turns the mean into 0, and this noise into a unit normal.
  fill = jnp.asarray(data.mean, jnp.float32)
  if data.erase_with == 'noise':
    noise = jax.random.normal(keys[4], (height, width, channels))
    fill += noise * jnp.asarray(data.std, jnp.float32)
  return jnp.where(inside & erased, fill, image)


# In the order of torchvision's and timm's recipes. Each is two functions:
# config.data → whether it is on, and (key, images, config.data) → images. These
# are [B, S, S, C] in 0…255, uint8 or float32; 'policy' needs whole numbers.
AUGMENTATIONS = {
  'pad': (lambda d: d.pad, _shift),
  'flip': (lambda d: d.flip, _flip),
  'rotate': (lambda d: d.rotate, per_image(_rotate)),
  'policy': (lambda d: d.policy, per_image(policies.apply)),
  'color_jitter': (
    lambda d: any(d.color_jitter) or d.brightness_shift,
    colors.jitter,
  ),
  'color_distortion': (lambda d: d.color_distortion, colors.distort),
  'erase': (lambda d: d.erase, per_image(_erase)),
}


def _in_box(start, end, height: int, width: int):
  """bool [H, W, 1]: start ≤ (row, column) < end."""
  pixels = jnp.moveaxis(jnp.indices((height, width)), 0, -1)
  return jnp.all((start <= pixels) & (pixels < end), -1, keepdims=True)


def _mix(key, images, targets, data):
  """Mixup (Zhang et al. 2017) or CutMix (Yun et al. 2019) with the next image.

  The whole batch has one λ and, with both enabled, one of the two methods with
  probability 1/2, as in the reference implementations and timm.
  """
  method, mixup_key, cutmix_key, center_key = jax.random.split(key, 4)
  # With the next image, devices exchange one image instead of all of them.
  # Its copies follow an image.
  others, other_targets = (
    jnp.roll(x, -data.repeats, axis=0) for x in (images, targets)
  )
  _, height, width, _ = images.shape

  def mixup():
    lam = jax.random.beta(mixup_key, data.mixup, data.mixup)
    return jnp.full((height, width, 1), lam), lam

  def cutmix():
    lam = jax.random.beta(cutmix_key, data.cutmix, data.cutmix)
    extent = jnp.asarray([height, width])
    center = jnp.floor(jax.random.uniform(center_key, (2,)) * extent)
    half = jnp.floor(extent * jnp.sqrt(1 - lam) / 2)
    start = jnp.maximum(center - half, 0)
    end = jnp.minimum(center + half, extent)
    pasted = jnp.prod(end - start) / (height * width)
    keep = ~_in_box(start, end, height, width)
    return keep.astype(jnp.float32), 1 - pasted

  if data.mixup and data.cutmix:
    mask, lam = jax.lax.cond(jax.random.bernoulli(method), mixup, cutmix)
  else:
    mask, lam = mixup() if data.mixup else cutmix()
  return (
    images * mask + others * (1 - mask),
    targets * lam + other_targets * (1 - lam),
  )
