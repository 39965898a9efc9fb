"""Resizing as OpenCV does with INTER_LINEAR, in TensorFlow's graph.

OpenCV does not antialias: a pixel is a mean of two by two of the image's, with
weights of 11 fractional bits in integers (modules/imgproc/src/resize.cpp:
HResizeLinear, VResizeLinear; that of x86 CPUs).
"""

from inception_jax.data.lazy import tf

_UNIT = 2048  # the sum of the two weights
# Bits that are dropped before and after the vertical weights, and at last,
# where levels are rounded.
_BEFORE, _AFTER, _LAST = 4, 16, 2
_HALF = 2


def resize(image, size):
  """Resizes uint8 [H, W, C] to int32 `size`, (height, width)."""
  shift = tf.bitwise.right_shift
  height, width = tf.shape(image)[0], tf.shape(image)[1]
  channels = image.shape[-1]
  columns, across = _taps(width, size[1])
  # Rows are flat: broadcasting over three channels takes four times as long.
  across = tf.repeat(across, channels, axis=1)

  def column(i):
    taken = tf.gather(image, columns[i], axis=1)
    return tf.cast(tf.reshape(taken, (height, -1)), tf.int32) * across[i]

  blended = shift(column(0) + column(1), _BEFORE)
  rows, down = _taps(height, size[0])

  def row(i):
    return shift(tf.gather(blended, rows[i]) * down[i][:, None], _AFTER)

  pixels = shift(row(0) + row(1) + _HALF, _LAST)
  return tf.reshape(tf.cast(pixels, tf.uint8), (size[0], size[1], channels))


def _taps(source, target):
  """Returns the pixels of an axis that are blended, and their weights.

  Both are int32 [2, target]. Beyond an edge, both pixels are that of the edge.
  """
  # OpenCV divides twice in float64, then rounds the position to float32.
  step = 1 / (tf.cast(target, tf.float64) / tf.cast(source, tf.float64))
  middles = tf.cast(tf.range(target), tf.float64) + 0.5
  at = tf.cast(middles * step - 0.5, tf.float32)
  first = tf.floor(at)
  part = at - first
  weights = tf.cast(tf.round(tf.stack([1 - part, part]) * _UNIT), tf.int32)
  first = tf.cast(first, tf.int32)
  return tf.clip_by_value(tf.stack([first, first + 1]), 0, source - 1), weights
