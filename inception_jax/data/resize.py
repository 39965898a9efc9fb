"""Resizing on the host, with Pillow or in TensorFlow's graph.

`data.interpolation` is one of `data.choices.INTERPOLATIONS`:
  bilinear, bicubic: Pillow's, antialiased.
  area, nearest: TensorFlow's.
  opencv_bilinear: OpenCV's INTER_LINEAR, that of MindSpore and MindCV, without
    antialiasing.
  tf1_bilinear: TensorFlow 1's resize_bilinear, that of TF-slim, without
    antialiasing: pixel i is read at i · step, not at (i + ½) · step − ½.
    TF-slim keeps fractions of levels; here they are rounded, by at most half
    a level. As there, JPEGs are decoded with libjpeg's fast transform.
"""

import numpy as np
from PIL import Image

from inception_jax.data import opencv
from inception_jax.data import unrounded
from inception_jax.data.lazy import tf

_PILLOW_METHODS = {
  'bilinear': Image.Resampling.BILINEAR,
  'bicubic': Image.Resampling.BICUBIC,
}
OPENCV, TF1 = 'opencv_bilinear', 'tf1_bilinear'
# Never antialiased, so as to give their framework's pixels at every size.
UNFILTERED = (OPENCV, TF1)


def resize_for_training(image, data):
  """Resizes as TF-slim does, unless that would skip pixels: uint8 [S, S, C].

  Without antialiasing, a crop of up to twice the size still contributes every
  pixel. Antialiasing takes twice the time, and is used for larger crops.
  """
  square = (data.image_size, data.image_size)
  if data.interpolation in UNFILTERED:
    return resize_for_evaluation(image, data)
  large = tf.reduce_max(tf.shape(image)[:2]) > 2 * data.image_size
  resized = tf.cond(
    large,
    lambda: resize_for_evaluation(image, data),
    lambda: _resize(match_channels(image, data), data, square),
  )
  return tf.ensure_shape(resized, (*square, data.channels))


def resize_for_evaluation(image, data, size=None, python=True):
  """Resizes by `data.interpolation`: uint8 [S, S, C], or of another `size`.

  With Pillow, as in the transforms of torchvision and timm: the same pixels,
  in a third of TensorFlow's time. Without `python` in TensorFlow alone: of
  bilinear and bicubic, one or two pixels of a thousand are a level off, since
  its weights are rounded less.
  """
  image = match_channels(image, data)
  square = (data.image_size, data.image_size)
  target = tf.constant(square) if size is None else size
  if data.interpolation == OPENCV:
    image = opencv.resize(image, target)
  elif data.interpolation not in _PILLOW_METHODS:
    image = _resize(image, data, target)
  elif python:
    method = _PILLOW_METHODS[data.interpolation]
    call = lambda image, size: _pillow_resize(image, size, method)
    image = tf.numpy_function(call, [image, target], tf.uint8, stateful=False)
    image = tf.ensure_shape(image, (None, None, data.channels))
  else:
    for extent in _first_pass(tf.shape(image)[:2], target), target:
      image = _resize(image, data, extent, antialias=True)
  if size is None:
    image = tf.ensure_shape(image, (*square, data.channels))
  return image


def match_channels(image, data):
  """Converts RGB to grey, or back, if `data.channels` are others."""
  if image.shape[-1] < data.channels:
    return tf.image.grayscale_to_rgb(image)
  if image.shape[-1] > data.channels:
    return tf.image.rgb_to_grayscale(image)
  return image


def _first_pass(size, target):
  """Returns the size after the first of Pillow 13's two passes: int32 [2].

  Each pass rounds to whole levels. The vertical one is first where the height
  shrinks by more than twice as many pixels as the width.
  """
  shrinks = size - target
  vertical = (shrinks[0] > 0) & (shrinks[0] > 2 * shrinks[1])
  return tf.where(vertical, [target[0], size[1]], [size[0], target[1]])


def _pillow_resize(image: np.ndarray, size: np.ndarray, method) -> np.ndarray:
  """Resizes uint8 [H, W, 1 or 3] to `size`, (height, width)."""
  grey = image.shape[-1] == 1
  picture = Image.fromarray(image[..., 0] if grey else image)
  resized = np.asarray(picture.resize((int(size[1]), int(size[0])), method))
  return resized[..., None] if grey else resized


def _resize(image, data, size, antialias=False):
  """Resizes uint8 in TensorFlow by `data.interpolation`, rounding half up."""
  # In float32: the bilinear kernel for uint8 takes twice as long.
  image = tf.cast(image, tf.float32)
  if data.interpolation == TF1:
    resized = unrounded.bilinear(image, size, half_pixel_centers=False)
  else:
    method = data.interpolation
    resized = tf.image.resize(image, size, method, antialias=antialias)
  rounded = resized + 0.5  # the cast truncates
  if data.interpolation == 'bicubic':
    rounded = tf.clip_by_value(rounded, 0.0, 255.0)
  return tf.cast(rounded, tf.uint8)
