"""What a file may ask of its decoder, checked before that is called.

A file of a few kB may decode to gigabytes, or for hours. The checks are in
TensorFlow's graph, so that a SavedModel has the same ones as training.
"""

import functools
from typing import Any
from typing import NamedTuple

import numpy as np

from inception_jax.data import canvas as canvas_lib
from inception_jax.data import formats
from inception_jax.data import gif
from inception_jax.data import webp
from inception_jax.data.lazy import tf

# libpng inflates each compressed text of a PNG to up to 8 MB and keeps it.
_MOST_TEXTS = 16
# Each scan of a JPEG may change every pixel; libvips has the same limit.
_MOST_SCANS = 100
_END = b'\xff\xd9'  # of a JPEG
_MOST_COUNTED = 10_000


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


def check_jpeg(encoded, limit: int):
  """Returns a JPEG that is safe to decode, its shape, and if it is complete.

  The shape is int32 [3]. A file is complete if the marker of its end follows
  its last scan, whatever comes then, such as the video of a motion photo.

  Args: as `check`.

  Raises:
    tf.errors.InvalidArgumentError: at run time, for more pixels, and for as
      much work as more than 100 scans of an image of `limit` pixels.
  """
  shape = tf.io.extract_jpeg_shape(encoded)
  height, width, _ = tf.unstack(tf.cast(shape, tf.int64))
  parts = _split(encoded, b'\xff\xda')
  scans = tf.size(parts, tf.int64) - 1
  # A scan has no such bytes: those in it that are 255 are followed by 0.
  is_complete = tf.cond(
    tf.strings.substr(encoded, -2, 2) == _END,
    lambda: tf.constant(True),
    lambda: tf.size(_split(parts[-1], _END, most=1)) > 1,
  )
  most = _MOST_SCANS * limit // tf.maximum(width * height, 1)
  problem = _first_problem(
    _is_small(width, height, limit),
    (
      scans <= tf.minimum(most, _MOST_COUNTED - 1),
      f'{{}} scans of {{}}×{{}} are more work than {_MOST_SCANS} of '
      f'data.max_pixels={limit}',
      (scans, width, height),
    ),
  )
  return _unless(problem, (encoded, shape, is_complete))


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
  return _unless(problem, checked)


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
    lambda: _count(encoded, b'zTXt') + _count(encoded, b'iTXt'),
    lambda: tf.zeros((), tf.int64),
  )
  has_palette = is_kind('BMP') & (header[28] <= 8) & (header[29] == 0)
  is_for_pillow = is_kind(*formats.BMPS, *formats.BY_PILLOW)
  problem = _first_problem(
    (~is_kind('unknown'), 'unknown image format'),
    (~is_kind('HEIF'), 'HEIC is not read: convert it to JPEG'),
    (
      python | ~is_kind(*formats.BY_PILLOW),
      'TIFF, JPEG 2000 and AVIF are not read here: convert it to JPEG or PNG',
    ),
    _is_small(width, height, limit),
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
  before = _split(encoded, b'IDAT', most=1)[0]
  return (header[25] // 4 % 2 == 1) | (_count(before, b'tRNS') > 0)


def _bmp_has_alpha(encoded, header):
  """Whether there is a mask of alpha, in the headers from version 3 on."""
  mask = tf.strings.substr(encoded, 66, 4)
  return (header[14] >= 56) & (header[30] == 3) & (mask != bytes(4))


def _is_small(width, height, limit: int):
  return (
    # Not by their product, which may overflow.
    width <= limit // tf.maximum(height, 1),
    f'{{}}×{{}} is more than data.max_pixels={limit}',
    (width, height),
  )


def _first_problem(*checks):
  """Returns the text of the first (holds, text, its numbers) to fail, or ''."""
  problem = tf.constant('')
  for holds, text, *numbers in reversed(checks):
    text = tf.strings.format(text, *numbers) if numbers else text
    problem = tf.where(holds, problem, text)
  return problem


def _unless(problem, values):
  """Returns `values`; raises if there is a problem."""
  op = tf.raw_ops.Assert(condition=problem == '', data=[problem])
  # Outside of a graph it has already run, and is None.
  with tf.control_dependencies([] if op is None else [op]):
    return tf.nest.map_structure(tf.identity, values)


def _count(encoded, word: bytes):
  """How often a word occurs, up to `_MOST_COUNTED`, as int64."""
  return tf.size(_split(encoded, word), tf.int64) - 1


def _split(encoded, word: bytes, most: int = _MOST_COUNTED):
  """Returns the parts between the first `most` words and after them."""
  return tf.raw_ops.StringSplitV2(
    input=[encoded], sep=word, maxsplit=most
  ).values
