"""What a file may ask of its decoder, checked before that is called.

A file of a few kB may decode to gigabytes, or for hours. The checks are in
TensorFlow's graph, so that a SavedModel has the same ones as training.
"""

import dataclasses
import functools

import numpy as np

from inception_jax.data import gif
from inception_jax.data import webp
from inception_jax.data.lazy import tf

_HEADER_BYTES = 32  # hold the size in every format but GIF
# libpng inflates each compressed text of a PNG to up to 8 MB and keeps it.
_MOST_TEXTS = 16
# Each scan of a JPEG may change every pixel; libvips has the same limit.
_MOST_SCANS = 100
_MOST_COUNTED = 10_000

_ANY = -1  # matches every byte
_LITTLE = (1, 256, 256**2, 256**3)


@dataclasses.dataclass(frozen=True)
class _Format:
  """How a format is recognized, and where its header has the image's size.

  Attributes:
    words: bytes by offset.
    places: offsets of width and height.
    weights: of the bytes from there on; their sum is divided by `divisors`,
      taken by `modulus` and increased by `plus`.
  """

  words: dict[int, bytes]
  places: tuple[int, int] = (0, 0)
  weights: tuple[int, ...] = ()
  divisors: tuple[int, int] = (1, 1)
  modulus: int = 2**32
  plus: int = 0

  def word_bytes(self) -> np.ndarray:
    """The bytes of a header, or `_ANY`: int64 [32]."""
    row = np.full(_HEADER_BYTES, _ANY)
    for at, word in self.words.items():
      row[at : at + len(word)] = list(word)
    return row

  def size_weights(self) -> np.ndarray:
    """The weights of a header's bytes: int64 [2, 32]."""
    rows = np.zeros((2, _HEADER_BYTES), np.int64)
    for row, at in zip(rows, self.places, strict=True):
      row[at : at + len(self.weights)] = self.weights
    return rows


_WEBP = {0: b'RIFF', 8: b'WEBP'}
_FORMATS = {
  # Before another chunk, libpng accepts one with any size in place of IHDR.
  'PNG': _Format(
    {0: b'\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR'}, (16, 20), _LITTLE[::-1]
  ),
  'GIF': _Format({0: b'GIF8'}, (6, 8), _LITTLE[:2]),
  'OS/2 BMP': _Format({0: b'BM', 14: b'\x0c\0\0\0'}, (18, 20), _LITTLE[:2]),
  'BMP': _Format({0: b'BM'}, (18, 22), _LITTLE),
  'WebP': _Format({**_WEBP, 12: b'VP8 '}, (26, 28), _LITTLE[:2], modulus=2**14),
  'lossless WebP': _Format(
    {**_WEBP, 12: b'VP8L'}, (21, 21), _LITTLE, (1, 2**14), 2**14, 1
  ),
  'extended WebP': _Format(
    {**_WEBP, 12: b'VP8X'}, (24, 27), _LITTLE[:3], plus=1
  ),
  'unknown': _Format({}),
}


def check_jpeg(encoded, limit: int):
  """Returns a JPEG that is safe to decode, and its shape, int32 [3].

  Args: as `check`.

  Raises:
    tf.errors.InvalidArgumentError: at run time, for more pixels, and for as
      much work as more than 100 scans of an image of `limit` pixels.
  """
  shape = tf.io.extract_jpeg_shape(encoded)
  height, width, _ = tf.unstack(tf.cast(shape, tf.int64))
  scans = _count(encoded, b'\xff\xda')
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
  return _unless(problem, (encoded, shape))


def check(encoded, limit: int, palettes: bool):
  """Returns a PNG, GIF, BMP or WebP that is safe to decode.

  Args:
    encoded: scalar string, not a JPEG.
    limit: the most pixels, width × height.
    palettes: whether a BMP may have a palette, whose indices TensorFlow takes
      for grey levels, or the header of OS/2, which TensorFlow cannot read.

  Returns:
    `encoded`, a GIF or WebP without what follows its first frame, because
    TensorFlow decodes all of them; and whether it is a BMP, and a WebP.

  Raises:
    tf.errors.InvalidArgumentError: at run time, for more pixels, for another
      format, and for what the decoder does not support or limit.
  """
  *checked, problem = _checker(limit, palettes)(encoded)
  return _unless(problem, checked)


@functools.cache
def _checker(limit: int, palettes: bool):
  """Returns `_check` as a function that is traced once, whoever calls it."""
  return tf.function(
    lambda encoded: _check(encoded, limit, palettes), autograph=False
  ).get_concrete_function(tf.TensorSpec((), tf.string))


def _check(encoded, limit: int, palettes: bool):
  """Returns what `check` does, and the first problem or ''."""
  header = tf.strings.substr(encoded, 0, _HEADER_BYTES)
  header = tf.cast(tf.io.decode_raw(header, tf.uint8), tf.int64)
  header = tf.pad(header, [[0, _HEADER_BYTES - tf.shape(header)[0]]])
  formats = list(_FORMATS.values())
  words = np.stack([x.word_bytes() for x in formats])
  matches = tf.reduce_all((header == words) | (words == _ANY), 1)
  kind = tf.argmax(tf.cast(matches, tf.int32))  # the first that matches
  is_kind = lambda name: kind == list(_FORMATS).index(name)
  of_kind = lambda values: tf.gather(np.stack(values), kind)
  size = tf.reduce_sum(header * of_kind([x.size_weights() for x in formats]), 1)
  size = size // of_kind([x.divisors for x in formats])
  size %= of_kind([x.modulus for x in formats])
  size += of_kind([x.plus for x in formats])
  file, frame, is_whole = tf.cond(
    is_kind('GIF'),
    lambda: gif.first_frame(encoded),
    lambda: (encoded, tf.zeros(2, tf.int64), tf.constant(True)),
  )
  has_frames = is_kind('extended WebP') & (header[20] // 2 % 2 == 1)
  file, has_frame = tf.cond(
    has_frames,
    lambda: webp.first_frame(encoded),
    lambda: (file, tf.constant(True)),
  )
  # TensorFlow decodes a GIF's frame, Pillow a canvas for frame and screen.
  width, height = tf.unstack(tf.maximum(size, frame), 2)
  # A BMP stored from the top has a negative height.
  height = tf.where(is_kind('BMP'), tf.minimum(height, 2**32 - height), height)
  texts = tf.cond(
    is_kind('PNG'),
    lambda: _count(encoded, b'zTXt') + _count(encoded, b'iTXt'),
    lambda: tf.zeros((), tf.int64),
  )
  has_palette = is_kind('BMP') & (header[28] <= 8) & (header[29] == 0)
  problem = _first_problem(
    (~is_kind('unknown'), 'unknown image format'),
    _is_small(width, height, limit),
    (
      texts <= _MOST_TEXTS,
      f'a PNG with more than {_MOST_TEXTS} compressed texts is not supported',
    ),
    (is_whole, 'a GIF in so many blocks is not supported'),
    (has_frame, 'an animated WebP must begin with a whole frame'),
    (
      palettes | ~(has_palette | is_kind('OS/2 BMP')),
      'a BMP with a palette is not supported, nor one of OS/2',
    ),
  )
  is_any = lambda *names: functools.reduce(tf.logical_or, map(is_kind, names))
  is_webp = is_any('WebP', 'lossless WebP', 'extended WebP')
  return file, is_any('BMP', 'OS/2 BMP'), is_webp, problem


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
  parts = tf.raw_ops.StringSplitV2(
    input=[encoded], sep=word, maxsplit=_MOST_COUNTED
  ).values
  return tf.size(parts, tf.int64) - 1
