"""Decoding images that are no JPEGs, in TensorFlow's graph or by Pillow."""

from inception_jax.data import canvas
from inception_jax.data import choices
from inception_jax.data import headers
from inception_jax.data import pillow
from inception_jax.data.lazy import tf


def decode(image, data, python: bool):
  """Decodes an image to uint8 [H, W, 3].

  Args:
    image: scalar string.
    data: `config.data`.
    python: as in `headers.check`.
  """
  background = choices.rgb(data.background)
  found = headers.check(image, data.max_pixels, python, background)
  tensorflow = lambda: _by_tensorflow(found, background)
  if not python:
    return tensorflow()
  by_pillow = lambda: pillow.in_graph(
    *(found.file, data.max_pixels, background), upright=data.exif == 'apply'
  )
  return tf.cond(found.is_for_pillow, by_pillow, tensorflow)


def _by_tensorflow(found: headers.Checked, background: bytes | None):
  """Decodes what is not a JPEG to uint8 [H, W, 3], over a background."""
  decode = lambda channels: tf.io.decode_image(
    found.file, channels=channels, expand_animations=False
  )
  frame = tf.switch_case(
    found.layout,
    {
      headers.COLORS: lambda: decode(3),
      headers.WITH_ALPHA: lambda: _over(decode(4), background),
      headers.WEBP: lambda: _over(decode(0), background),
    },
  )
  return tf.cond(
    found.has_canvas, lambda: canvas.place(frame, found.canvas), lambda: frame
  )


def _over(image, background: bytes | None):
  """Lays uint8 [H, W, 3 or 4] over a color, or drops alpha: [H, W, 3]."""
  if background is None:
    return image[..., :3]
  opaque = tf.fill([*tf.unstack(tf.shape(image)[:2]), 1], tf.constant(255))
  image = tf.concat([tf.cast(image, tf.int32), opaque], -1)
  alpha = image[..., 3:4]
  mixed = image[..., :3] * alpha + tf.constant(list(background)) * (255 - alpha)
  mixed += 128  # to round the division by 255
  shift = tf.bitwise.right_shift
  return tf.cast(shift(mixed + shift(mixed, 8), 8), tf.uint8)
