"""What a file may ask of its decoder, checked before that is called.

A file of a few kB may decode to gigabytes, or for hours. The checks are in
TensorFlow's graph, so that a SavedModel has the same ones as training.
"""

import functools
from typing import Any
from typing import NamedTuple

import numpy as np

from inception_jax.data import canvas as canvas_lib
from inception_jax.data import checks
from inception_jax.data import formats
from inception_jax.data import gif
from inception_jax.data import webp
from inception_jax.data.lazy import tf

# libpng inflates each compressed text of a PNG to up to 8 MB and keeps it.
_MOST_TEXTS = 16

COLORS, WITH_ALPHA, WEBP = range(3)


class Checked(NamedTuple):
  """A file that is safe to decode.

  Attributes:
    file: a GIF or WebP without what follows its first frame, because TensorFlow
      decodes all of them; others as they are.
    has_canvas: bool, whether there may be frames; bool, as the next.
    is_for_pillow: whether TensorFlow cannot read it, or a palette's indices for
      grey levels.
    layout: the channels to decode: `COLORS`, three; `WITH_ALPHA`, four, needed
      for a background alone; `WEBP`, as many as it has, of which TensorFlow
      decodes no others.
    canvas: if `has_canvas`, of the frame in `file`.
  """

  file: Any
  has_canvas: Any
  is_for_pillow: Any
  layout: Any
  canvas: canvas_lib.Canvas


def check(
  encoded, limit: int, python: bool, background: bytes | None
) -> Checked:
  """Returns an image that is not a JPEG, and safe to decode.

  Args:
    encoded: scalar string.
    limit: the most pixels, width × height.
    python: whether Pillow may decode what TensorFlow cannot: a BMP with a
      palette or the header of OS/2, TIFF, JPEG 2000 and AVIF, whose size it has
      to compare with `limit`.
    background: as in `gif.first_frame`.

  Raises:
    tf.errors.InvalidArgumentError: at run time, for more pixels, for another
      format, and for what the decoder does not support or limit.
  """
  checked, problem = _checker(limit, python, background)(encoded)
  return checks.unless(problem, checked)


@functools.cache
def _checker(limit: int, python: bool, background: bytes | None):
  """Returns `_check` as a function that is traced once, whoever calls it."""
  return tf.function(
    lambda encoded: _check(encoded, limit, python, background), autograph=False
  ).get_concrete_function(tf.TensorSpec((), tf.string))


def _check(encoded, limit: int, python: bool, background: bytes | None):
  """Returns what `check` does, and the first problem or ''."""
  header, is_kind, size = _read(encoded)
  file, canvas, is_whole = tf.cond(
    is_kind('GIF'),
    lambda: gif.first_frame(encoded, background),
    lambda: (encoded, canvas_lib.none(), tf.constant(True)),
  )
  has_frames = is_kind('extended WebP') & (header[20] // 2 % 2 == 1)
  file, canvas, has_frame = tf.cond(
    has_frames,
    lambda: webp.first_frame(encoded, size, background),
    lambda: (file, canvas, tf.constant(True)),
  )
  width, height = tf.unstack(tf.maximum(size, canvas.size), 2)
  # A BMP stored from the top has a negative height.
  height = tf.where(is_kind('BMP'), tf.minimum(height, 2**32 - height), height)
  texts = tf.cond(
    is_kind('PNG'),
    lambda: checks.count(encoded, b'zTXt') + checks.count(encoded, b'iTXt'),
    lambda: tf.zeros((), tf.int64),
  )
  if not python:
    file = tf.cond(
      is_kind('BMP'),
      lambda: _bmp_alone(file, header, width, height),
      lambda: file,
    )
  has_palette = is_kind('BMP') & (header[28] <= 8) & (header[29] == 0)
  is_for_pillow = is_kind(*formats.BMPS, *formats.BY_PILLOW)
  problem = checks.first_problem(
    (~is_kind('unknown'), 'unknown image format'),
    (~is_kind('HEIF'), 'HEIC is not read: convert it to JPEG'),
    (
      python | ~is_kind(*formats.BY_PILLOW),
      'TIFF, JPEG 2000 and AVIF are not read here: convert it to JPEG or PNG',
    ),
    checks.is_small(width, height, limit),
    (
      texts <= _MOST_TEXTS,
      f'a PNG with more than {_MOST_TEXTS} compressed texts is not supported',
    ),
    (is_whole, 'a GIF in so many blocks is not supported'),
    (has_frame, 'an animated WebP must begin with a frame'),
    (
      python | ~(has_palette | is_kind('OS/2 BMP')),
      'a BMP with a palette is not supported, nor one of OS/2',
    ),
  )
  has_alpha = tf.constant(False)
  if background is not None:
    has_alpha = is_kind('PNG') & _png_has_alpha(encoded, header)
    has_alpha |= is_kind('BMP') & _bmp_has_alpha(encoded, header)
  layout = tf.where(has_alpha, WITH_ALPHA, COLORS)
  layout = tf.where(is_kind(*formats.WEBPS), WEBP, layout)
  checked = Checked(
    file, is_kind('GIF') | has_frames, is_for_pillow, layout, canvas
  )
  return checked, problem


def _read(encoded):
  """Returns a header, int64; a function of names of formats; and the size."""
  header = tf.strings.substr(encoded, 0, formats.HEADER_BYTES)
  header = tf.cast(tf.io.decode_raw(header, tf.uint8), tf.int64)
  header = tf.pad(header, [[0, formats.HEADER_BYTES - tf.shape(header)[0]]])
  known = list(formats.FORMATS.values())
  words = np.stack([x.word_bytes() for x in known])
  matches = tf.reduce_all((header == words) | (words == formats.ANY), 1)
  kind = tf.argmax(tf.cast(matches, tf.int32))  # the first that matches
  is_kind = lambda *names: functools.reduce(
    tf.logical_or, [kind == list(formats.FORMATS).index(name) for name in names]
  )
  of_kind = lambda values: tf.gather(np.stack(values), kind)
  size = tf.reduce_sum(header * of_kind([x.size_weights() for x in known]), 1)
  size = size // of_kind([x.divisors for x in known])
  size %= of_kind([x.modulus for x in known])
  size += of_kind([x.plus for x in known])
  return header, is_kind, size


def _png_has_alpha(encoded, header):
  # Asked for four channels of an opaque one with 1, 2 or 4 bits, TensorFlow
  # gives alpha in these bits.
  before = checks.split(encoded, b'IDAT', most=1)[0]
  return (header[25] // 4 % 2 == 1) | (checks.count(before, b'tRNS') > 0)


def _bmp_has_alpha(encoded, header):
  """Whether there is a mask of alpha, in the headers from version 3 on."""
  mask = tf.strings.substr(encoded, 66, 4)
  return (header[14] >= 56) & (header[30] == 3) & (mask != bytes(4))


def _bmp_alone(encoded, header, width, height):
  """Returns a BMP without what follows its pixels, as TensorFlow wants it."""
  begin = tf.reduce_sum(header[10:14] * [1, 2**8, 2**16, 2**24])
  row = (width * header[28] + 31) // 32 * 4
  # Bounds of larger products than any file has bytes.
  pixels = tf.minimum(row, 2**31) * tf.minimum(height, 2**31)
  return tf.strings.substr(encoded, tf.constant(0, tf.int64), begin + pixels)
