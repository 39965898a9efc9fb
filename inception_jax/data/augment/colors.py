"""Random changes of brightness, contrast, saturation and hue.

Images are [B, H, W, C] in 0…255, uint8 or float32 before, float32 after, and
each has its own draws.
"""

import dm_pix
import jax
import jax.numpy as jnp

from inception_jax.data.augment.image_ops import grey

# In grey levels: the sources have 32 / 255 and 0.1 of white.
_SHIFT, _CHROMA = 32.0, 25.5
_SATURATION = 0.5
# RGB of a unit of Cb and of Cr.
_CB, _CR = (0.0, -0.344136, 1.772), (1.402, -0.714136, 0.0)


def jitter(key, x, data):
  """Changes brightness, contrast, saturation and hue, in this order.

  The first three are multiplied by 1 ± `data.color_jitter`, contrast and
  saturation around the luma of ITU-R BT.601, as in torchvision's ColorJitter,
  which draws the order, as MindSpore's RandomColorAdjust does. Hue moves by a
  fraction of its circle. Brightness also moves by ± `data.brightness_shift` of
  white.
  """
  x = x.astype(jnp.float32)
  limits = jnp.asarray([data.brightness_shift, *data.color_jitter])
  shape = (5, x.shape[0], 1, 1, 1)
  draws = jax.random.uniform(key, shape, minval=-1.0)
  shift, brightness, contrast, saturation, hue = (
    draws * limits[:, None, None, None, None]
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


def distort(key, x, data):
  """Applies one of `DISTORTIONS`, that of `data.color_distortion`."""
  return DISTORTIONS[data.color_distortion](key, x.astype(jnp.float32))


def _tpu(key, x):
  """Shifts Y by ± 32/255, and Cb and Cr by ± 0.1.

  As `distort_color_fast` of tensorflow/tpu, models/experimental/inception/
  inception_preprocessing.py. A grey image has no chroma.
  """
  draws = jax.random.uniform(key, (3, x.shape[0], 1, 1, 1), minval=-1.0)
  y, cb, cr = _SHIFT * draws[0], *(_CHROMA * draws[1:])
  if x.shape[-1] == 1:
    return jnp.clip(x + y, 0, 255)
  offsets = y + cb * jnp.asarray(_CB) + cr * jnp.asarray(_CR)
  return jnp.clip(x + offsets, 0, 255)


def _slim(key, x):
  """Shifts brightness by ± 32/255, multiplies HSV's saturation by 1 ± 0.5.

  As `distort_color` with `fast_mode`, TF-slim's default, in tensorflow/models,
  research/slim/preprocessing/inception_preprocessing.py: brightness is first in
  one of four images.
  """
  shift_key, factor_key, order_key = jax.random.split(key, 3)
  shape = (x.shape[0], 1, 1, 1)
  limit = lambda k, m: m * jax.random.uniform(k, shape, minval=-1.0)
  shift, factor = limit(shift_key, _SHIFT), 1 + limit(factor_key, _SATURATION)
  before = jnp.where(jax.random.bernoulli(order_key, 0.25, shape), shift, 0)
  x = scale_saturation(x + before, factor)
  return jnp.clip(x + shift - before, 0, 255)


def scale_saturation(x, factor):
  """Returns float32 [..., C], the saturation of HSV multiplied by `factor`.

  As tf.image.adjust_saturation: value and hue are kept, the saturation ends at
  1, and values below 0 are accepted.
  """
  value, least = (f(x, axis=-1, keepdims=True) for f in (jnp.max, jnp.min))
  # Saturation is (value − least) / value, here times factor, at most 1.
  most = value / jnp.maximum(value - least, 1e-6)
  scaled = value - (value - x) * jnp.minimum(factor, most)
  return jnp.where(value > 0, scaled, value)


# Name → (key, float32 [B, H, W, C]) → float32 of that shape.
DISTORTIONS = {'tpu': _tpu, 'slim': _slim}
