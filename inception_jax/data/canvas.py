"""Canvases of images whose first frame may cover a part, in TensorFlow."""

from typing import Any
from typing import NamedTuple

from inception_jax.data.lazy import tf


class Canvas(NamedTuple):
  """Where a frame is.

  Attributes:
    size: of the canvas, with the frame: width and height, int64 [2].
    corner: of the frame, from left and top, int64 [2].
    color: of the canvas around it, uint8 [3].
  """

  size: Any
  corner: Any
  color: Any


def none() -> Canvas:
  """Returns that of formats without one."""
  zeros = tf.zeros(2, tf.int64)
  return Canvas(zeros, zeros, tf.zeros(3, tf.uint8))


def place(frame, canvas: Canvas):
  """Returns a frame, uint8 [h, w, 3], on its canvas, [H, W, 3]."""
  corner = tf.cast(canvas.corner[::-1], tf.int32)
  behind = tf.cast(canvas.size[::-1], tf.int32) - corner - tf.shape(frame)[:2]
  places = tf.pad(tf.stack([corner, behind], 1), [[0, 1], [0, 0]])
  # The padding is 0, and becomes the color.
  flip = lambda image: tf.bitwise.bitwise_xor(image, canvas.color)
  return flip(tf.pad(flip(frame), places))
