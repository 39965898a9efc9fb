"""Augmentation and normalisation on the device, in JAX.

Batches arrive as uint8 and leave as normalised float32. Every draw depends on
the key alone, which the step folds from the seed and its own number.
"""

import dm_pix
import jax
import jax.numpy as jnp

from inception_jax.data.augment import policies
from inception_jax.data.augment.image_ops import grey
from inception_jax.data.augment.image_ops import rotation
from inception_jax.data.augment.image_ops import warp


def normalise(images, data):
  """uint8 or float [B, S, S, C] in 0…255 → (x − mean) / std, float32."""
  mean = jnp.asarray(data.mean, jnp.float32)
  std = jnp.asarray(data.std, jnp.float32)
  return (images.astype(jnp.float32) - mean) / std


def train_batch(key, batch, data, num_classes: int):
  """Augments and normalises a batch, each image by draws of its own.

  In this order, as torchvision's and timm's recipes have it: shift, flip,
  rotation, policy, colours, erasing, mixing.

  Args:
    key: all that the draws depend on.
    batch: {'image': uint8 [B, S, S, C], 'label': int32 [B]}.
    data: `config.data`, resolved.
    num_classes: N.

  Returns:
    float32 images [B, S, S, C], and targets [B, N]: each row a distribution,
    over two classes where images have been mixed.
  """
  keys = iter(jax.random.split(key, 7))
  images = batch['image']
  size = images.shape[0]
  if data.pad:
    images = _shift(next(keys), images, data.pad)
  if data.flip:
    flips = jax.random.bernoulli(next(keys), shape=(size, 1, 1, 1))
    images = jnp.where(flips, images[:, :, ::-1], images)

  images = images.astype(jnp.float32)
  if data.rotate:
    images = _each(next(keys), images, _rotated, data.rotate)
  if data.policy:
    images = _each(next(keys), images, policies.apply, data)
  if any(data.color_jitter) or data.brightness_shift:
    images = _colours(next(keys), images, data)
  if data.erase:
    images = _each(next(keys), images, _erased, data)
  targets = jax.nn.one_hot(batch['label'], num_classes)
  if data.mixup or data.cutmix:
    images, targets = _mixed(next(keys), images, targets, data)
  return normalise(images, data), targets


def _each(key, images, function, argument):
  """`function(key, image, argument)` of each, with a key of its own."""
  keys = jax.random.split(key, images.shape[0])
  return jax.vmap(lambda k, x: function(k, x, argument))(keys, images)


def _shift(key, images, pad: int):
  """Pads with black and crops back at random, each image on its own."""
  batch, height, width, channels = images.shape
  padded = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
  corners = jax.random.randint(key, (batch, 2), 0, 2 * pad + 1)

  def crop(image, corner):
    start = (corner[0], corner[1], 0)
    return jax.lax.dynamic_slice(image, start, (height, width, channels))

  return jax.vmap(crop)(padded, corners)


def _rotated(key, image, most: float):
  """By up to `most` degrees to either side, with black around it."""
  degrees = jax.random.uniform(key, minval=-most, maxval=most)
  turned = warp(image, rotation(degrees), jnp.zeros(image.shape[-1]))
  return jnp.round(turned)  # as PIL has it, and policies need it


def _colours(key, x, data):
  """Brightness, contrast, saturation and hue, in this order.

  The first three by a factor in 1 ± their share, contrast and saturation
  against the grey of ITU-R BT.601, as torchvision's ColorJitter; hue by a
  share of its circle; brightness also by a share of white that is added, as
  TensorFlow's `random_brightness`.
  """
  most = jnp.asarray([data.brightness_shift, *data.color_jitter])
  shape = (5, x.shape[0], 1, 1, 1)
  draws = jax.random.uniform(key, shape, minval=-1.0)
  shift, brightness, contrast, saturation, hue = (
    draws * most[:, None, None, None, None]
  )
  x = jnp.clip(x * (1 + brightness) + 255 * shift, 0, 255)
  mean = jnp.mean(grey(x), axis=(1, 2), keepdims=True)
  x = jnp.clip(mean + (x - mean) * (1 + contrast), 0, 255)
  if x.shape[-1] == 1:
    return x
  x = jnp.clip(grey(x) + (x - grey(x)) * (1 + saturation), 0, 255)
  if data.color_jitter[3]:
    x = 255 * jax.vmap(dm_pix.adjust_hue)(x / 255, hue[:, 0, 0, 0])
  return x


def _erased(key, image, data):
  """Random erasing (Zhong et al. 2017), of a rectangle with odds `erase`."""
  height, width, channels = image.shape
  keys = jax.random.split(key, 5)
  area = (
    height
    * width
    * jax.random.uniform(
      keys[0], minval=data.erase_area[0], maxval=data.erase_area[1]
    )
  )
  low, high = jnp.log(jnp.asarray(data.erase_ratio))
  ratio = jnp.exp(jax.random.uniform(keys[1], minval=low, maxval=high))
  box = jnp.round(jnp.sqrt(jnp.stack([area * ratio, area / ratio])))
  box = jnp.minimum(box, jnp.asarray([height, width]))
  free = jnp.asarray([height, width]) - box
  start = jnp.floor(jax.random.uniform(keys[2], (2,)) * (free + 1))
  inside = _in_box(start, start + box, height, width)
  drawn = jax.random.bernoulli(keys[3], data.erase)
  # What is the mean here is 0 once it is normalised.
  filling = jnp.asarray(data.mean, jnp.float32)
  if data.erase_with == 'noise':
    noise = jax.random.normal(keys[4], (height, width, channels))
    filling += noise * jnp.asarray(data.std, jnp.float32)
  return jnp.where(inside & drawn, filling, image)


def _in_box(start, end, height: int, width: int):
  """bool [H, W, 1], for [2] of the first row and column, and past the last."""
  rows = jnp.arange(height)[:, None, None]
  columns = jnp.arange(width)[None, :, None]
  return (
    (start[0] <= rows)
    & (rows < end[0])
    & (start[1] <= columns)
    & (columns < end[1])
  )


def _mixed(key, images, targets, data):
  """Mixup (Zhang et al. 2017) or CutMix (Yun et al. 2019) with the next image.

  One share for the whole batch, and with both one of the two for the whole
  batch, at equal odds, as in the reference implementations and timm.
  """
  which, first, second, place = jax.random.split(key, 4)
  # The next one, so that devices exchange one image, not all of them.
  others, their_targets = (jnp.roll(x, -1, axis=0) for x in (images, targets))
  _, height, width, _ = images.shape

  def mixup():
    share = jax.random.beta(first, data.mixup, data.mixup)
    return jnp.full((height, width, 1), share), share

  def cutmix():
    share = jax.random.beta(second, data.cutmix, data.cutmix)
    extent = jnp.asarray([height, width])
    middle = jnp.floor(jax.random.uniform(place, (2,)) * extent)
    half = jnp.floor(extent * jnp.sqrt(1 - share) / 2)
    start = jnp.maximum(middle - half, 0)
    end = jnp.minimum(middle + half, extent)
    cut = jnp.prod(end - start) / (height * width)
    keep = ~_in_box(start, end, height, width)
    return keep.astype(jnp.float32), 1 - cut

  if data.mixup and data.cutmix:
    weight, share = jax.lax.cond(jax.random.bernoulli(which), mixup, cutmix)
  else:
    weight, share = mixup() if data.mixup else cutmix()
  return (
    images * weight + others * (1 - weight),
    targets * share + their_targets * (1 - share),
  )
