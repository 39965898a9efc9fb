"""Resizing on the host, in TensorFlow's graph."""

import tensorflow as tf


def quick(image, data):
  """uint8 [S, S, C], as TF-slim's, unless that would leave pixels out.

  Between two pixels of a crop of up to twice the size there are none that it
  does not look at. Antialiasing takes twice the time, and is kept for others.
  """
  large = tf.reduce_max(tf.shape(image)[:2]) > 2 * data.image_size
  resized = tf.cond(
    large,
    lambda: exact(image, data),
    lambda: exact(image, data, antialias=False),
  )
  shape = (data.image_size, data.image_size, data.channels)
  return tf.ensure_shape(resized, shape)


def exact(image, data, size=None, antialias=True):
  """uint8 [S, S, C], or of another `size`.

  Antialiased like PIL's, on which most published weights were trained: across,
  to whole levels, then down. (Pillow 13 goes down first where that is less
  work; a level of difference at most.)
  """
  if image.shape[-1] < data.channels:
    image = tf.image.grayscale_to_rgb(image)
  elif image.shape[-1] > data.channels:
    image = tf.image.rgb_to_grayscale(image)
  square = (data.image_size, data.image_size)
  target = tf.constant(square) if size is None else size
  smooth = antialias and data.interpolation in ('bilinear', 'bicubic')
  across = tf.stack([tf.shape(image)[0], target[1]])
  for extent in [across, target] if smooth else [target]:
    image = tf.image.resize(
      image, extent, method=data.interpolation, antialias=antialias
    )
    # Of `nearest` they are whole levels still.
    image = tf.floor(tf.cast(image, tf.float32) + 0.5)
    image = tf.cast(tf.clip_by_value(image, 0.0, 255.0), tf.uint8)
  if size is None:
    image = tf.ensure_shape(image, (*square, data.channels))
  return image
