"""Resizing on the host: by Pillow, or in TensorFlow's graph."""

from etils import epy
import numpy as np
from PIL import Image

# Seconds: not until data are read.
with epy.lazy_imports():
  import tensorflow as tf

_SMOOTH = {
  'bilinear': Image.Resampling.BILINEAR,
  'bicubic': Image.Resampling.BICUBIC,
}


def resize_tensorflow(image, data):
  """uint8 [S, S, C], as TF-slim's, unless that would leave pixels out.

  Between two pixels of a crop of up to twice the size there are none that it
  does not look at. Antialiasing takes twice the time, and is kept for others.
  """
  large = tf.reduce_max(tf.shape(image)[:2]) > 2 * data.image_size
  square = tf.constant((data.image_size, data.image_size))
  resized = tf.cond(
    large,
    lambda: resize_pillow(image, data),
    lambda: _in_tensorflow(_coloured(image, data), data, square),
  )
  shape = (data.image_size, data.image_size, data.channels)
  return tf.ensure_shape(resized, shape)


def resize_pillow(image, data, size=None, python=True):
  """uint8 [S, S, C], or of another `size`, antialiased.

  By Pillow, as the transforms of torchvision and timm do it, for the very same
  pixels in a third of TensorFlow's time. Without `python` in TensorFlow alone,
  one or two pixels of a thousand are a level off: its weights are rounded less.
  """
  image = _coloured(image, data)
  square = (data.image_size, data.image_size)
  target = tf.constant(square) if size is None else size
  if data.interpolation not in _SMOOTH:
    image = _in_tensorflow(image, data, target)
  elif python:
    method = _SMOOTH[data.interpolation]
    call = lambda image, size: _by_pillow(image, size, method)
    image = tf.numpy_function(call, [image, target], tf.uint8, stateful=False)
    image = tf.ensure_shape(image, (None, None, data.channels))
  else:
    for extent in _first(tf.shape(image)[:2], target), target:
      image = _in_tensorflow(image, data, extent, antialias=True)
  if size is None:
    image = tf.ensure_shape(image, (*square, data.channels))
  return image


def _coloured(image, data):
  if image.shape[-1] < data.channels:
    return tf.image.grayscale_to_rgb(image)
  if image.shape[-1] > data.channels:
    return tf.image.rgb_to_grayscale(image)
  return image


def _first(size, target):
  """What Pillow 13 resizes to before it gets to `target`: int32 [2].

  Both passes end in whole levels. It goes down first where a picture loses
  more than twice as much of its height as of its width, else across.
  """
  loses = size - target
  down = (loses[0] > 0) & (loses[0] > 2 * loses[1])
  return tf.where(down, [target[0], size[1]], [size[0], target[1]])


def _by_pillow(image: np.ndarray, size: np.ndarray, method) -> np.ndarray:
  """uint8 [H, W, 1 or 3] → uint8 of that (height, width)."""
  grey = image.shape[-1] == 1
  picture = Image.fromarray(image[..., 0] if grey else image)
  resized = np.asarray(picture.resize((int(size[1]), int(size[0])), method))
  return resized[..., None] if grey else resized


def _in_tensorflow(image, data, size, antialias=False):
  # Of uint8 its bilinear kernel takes twice as long: that is not vectorised.
  resized = tf.image.resize(
    tf.cast(image, tf.float32), size, data.interpolation, antialias=antialias
  )
  rounded = resized + 0.5  # a cast drops what follows the point
  if data.interpolation == 'bicubic':
    rounded = tf.clip_by_value(rounded, 0.0, 255.0)
  return tf.cast(rounded, tf.uint8)
