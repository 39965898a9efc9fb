"""Augmentation and normalisation on the device, in JAX.

Batches arrive as uint8 and leave as normalised float32. Every draw depends on
the key alone, which the step folds from the seed and its own number.
"""

import jax
import jax.numpy as jnp


def normalise(images, data):
  """uint8 or float [B, S, S, C] in 0…255 → (x − mean) / std, float32."""
  mean = jnp.asarray(data.mean, jnp.float32)
  std = jnp.asarray(data.std, jnp.float32)
  return (images.astype(jnp.float32) - mean) / std


def train_images(key, images, data):
  """uint8 [B, S, S, C] → augmented, normalised float32 [B, S, S, C]."""
  crop_key, flip_key, jitter_key = jax.random.split(key, 3)
  if data.pad:
    images = _shift(crop_key, images, data.pad)
  if data.flip:
    flips = jax.random.bernoulli(flip_key, shape=(images.shape[0], 1, 1, 1))
    images = jnp.where(flips, images[:, :, ::-1], images)
  if data.color_jitter:
    images = _color_jitter(jitter_key, images, data.color_jitter)
  return normalise(images, data)


def _shift(key, images, pad: int):
  """Pads with black and crops back at random, each image on its own."""
  batch, height, width, channels = images.shape
  padded = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
  corners = jax.random.randint(key, (batch, 2), 0, 2 * pad + 1)

  def crop(image, corner):
    start = (corner[0], corner[1], 0)
    return jax.lax.dynamic_slice(image, start, (height, width, channels))

  return jax.vmap(crop)(padded, corners)


def _color_jitter(key, images, strength: float):
  """Brightness, contrast, saturation, each by a factor in 1 ± `strength`."""
  x = images.astype(jnp.float32)
  factors = jax.random.uniform(
    key,
    (3, x.shape[0], 1, 1, 1),
    minval=1.0 - strength,
    maxval=1.0 + strength,
  )
  brightness, contrast, saturation = factors
  x = jnp.clip(x * brightness, 0.0, 255.0)
  mean = jnp.mean(_grey(x), axis=(1, 2), keepdims=True)
  x = jnp.clip(mean + (x - mean) * contrast, 0.0, 255.0)
  grey = _grey(x)
  return jnp.clip(grey + (x - grey) * saturation, 0.0, 255.0)


def _grey(x):
  """Luma of ITU-R BT.601, keeping the channel axis; grey is its own."""
  if x.shape[-1] == 1:
    return x
  weights = jnp.asarray([0.299, 0.587, 0.114], jnp.float32)
  return jnp.sum(x * weights, axis=-1, keepdims=True)
