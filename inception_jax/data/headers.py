"""What a file may ask of its decoder, checked before that is called.

A file of a few kB may decode to gigabytes, or for hours. The checks are in
TensorFlow's graph, so that a SavedModel has the same ones as training.
"""

import functools

from inception_jax.data.lazy import tf

_HEADER_BYTES = 32  # hold the size in every format but GIF
# A step over a GIF's blocks takes up to 64 of equal size, so that an encoder's
# 255 MB need fewer steps than this, which take half a second.
_GIF_RUN = 64
_MOST_GIF_STEPS = 2**14
# No step ends farther behind the file's end, and padding ends the walk.
_GIF_PADDING = 1024
# libpng inflates each compressed text of a PNG to up to 8 MB and keeps it.
_MOST_TEXTS = 16
# Each scan of a JPEG may change every pixel; libvips has the same limit.
_MOST_SCANS = 100
_MOST_COUNTED = 10_000


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
  return _passed(
    (encoded, shape),
    _is_small(width, height, limit),
    (
      scans <= tf.minimum(most, _MOST_COUNTED - 1),
      f'{{}} scans of {{}}×{{}} are more work than {_MOST_SCANS} of '
      f'data.max_pixels={limit}',
      (scans, width, height),
    ),
  )


def check(encoded, limit: int, palettes: bool):
  """Returns a PNG, GIF, BMP or WebP that is safe to decode.

  Args:
    encoded: scalar string, not a JPEG.
    limit: the most pixels, width × height.
    palettes: whether a BMP may have a palette, whose indices TensorFlow takes
      for grey levels, or the header of OS/2, which TensorFlow cannot read.

  Returns:
    `encoded`, a GIF without what follows its first frame, because TensorFlow
    decodes all of them; and whether it is a BMP.

  Raises:
    tf.errors.InvalidArgumentError: at run time, for more pixels, for another
      format, and for what the decoder does not support or limit.
  """
  header = tf.strings.substr(encoded, 0, _HEADER_BYTES)
  header = _bytes(header, _HEADER_BYTES - tf.strings.length(header))
  has = lambda word, at=0: tf.reduce_all(
    header[at : at + len(word)] == tf.constant(list(word), tf.uint8)
  )
  is_webp = lambda kind: has(b'RIFF') & has(b'WEBP' + kind, 8)
  # Before another chunk, libpng accepts one with any size in place of this one.
  is_png = has(b'\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR')
  is_gif, is_bmp, is_os2 = has(b'GIF8'), has(b'BM'), has(b'\x0c\0\0\0', 14)
  bits = _le(header, 21, 4)
  # (is this format, width, height); at most one of them applies.
  formats = [
    (is_png, _be(header, 16, 4), _be(header, 20, 4)),
    (is_gif, _le(header, 6, 2), _le(header, 8, 2)),
    (is_bmp & is_os2 & palettes, _le(header, 18, 2), _le(header, 20, 2)),
    (is_bmp & ~is_os2, _le(header, 18, 4), _bmp_height(header)),
    (is_webp(b'VP8 '), _le(header, 26, 2) % 2**14, _le(header, 28, 2) % 2**14),
    (is_webp(b'VP8L'), bits % 2**14 + 1, bits // 2**14 % 2**14 + 1),
    (is_webp(b'VP8X'), _le(header, 24, 3) + 1, _le(header, 27, 3) + 1),
  ]
  is_known = tf.reduce_any([matches for matches, _, _ in formats])
  size = tf.add_n(
    [tf.where(matches, tf.stack([w, h]), 0) for matches, w, h in formats]
  )
  file, frame, is_whole = tf.cond(
    is_gif,
    lambda: _first_frame()(encoded),
    lambda: (encoded, tf.zeros(2, tf.int64), tf.constant(True)),
  )
  # TensorFlow decodes a GIF's frame, Pillow a canvas for frame and screen.
  width, height = tf.unstack(tf.maximum(size, frame))
  texts = tf.cond(
    is_png,
    lambda: _count(encoded, b'zTXt') + _count(encoded, b'iTXt'),
    lambda: tf.zeros((), tf.int64),
  )
  return _passed(
    (file, is_bmp),
    (is_known, 'unknown image format', ()),
    _is_small(width, height, limit),
    (
      texts <= _MOST_TEXTS,
      f'a PNG with more than {_MOST_TEXTS} compressed texts is not supported',
      (),
    ),
    (is_whole, 'a GIF in so many blocks is not supported', ()),
    (
      ~(is_webp(b'VP8X') & (header[20] // 2 % 2 == 1)),
      'an animated WebP is not supported',
      (),
    ),
    (
      ~is_bmp | (_le(header, 28, 2) > 8) | palettes,
      'a BMP with a palette is not supported',
      (),
    ),
  )


def _is_small(width, height, limit: int):
  return (
    # Not by their product, which may overflow.
    width <= limit // tf.maximum(height, 1),
    f'{{}}×{{}} is more than data.max_pixels={limit}',
    (width, height),
  )


def _passed(values, *checks):
  """Returns `values` once all `checks` hold: (condition, text, its numbers)."""
  ops = [
    tf.raw_ops.Assert(
      condition=holds,
      data=[tf.strings.format(text, numbers) if numbers else text],
    )
    for holds, text, numbers in checks
  ]
  # Outside of a graph they have already run, and are None.
  with tf.control_dependencies([op for op in ops if op is not None]):
    return tf.nest.map_structure(tf.identity, values)


def _count(encoded, word: bytes):
  """How often a word occurs, up to `_MOST_COUNTED`, as int64."""
  parts = tf.raw_ops.StringSplitV2(
    input=[encoded], sep=word, maxsplit=_MOST_COUNTED
  ).values
  return tf.size(parts, tf.int64) - 1


@functools.cache
def _first_frame():
  """Returns the function of `_cut`, which is compiled once.

  Outside of a graph, its loop would take a thousand times as long.
  """
  spec = tf.TensorSpec((), tf.string)
  return tf.function(_cut, input_signature=[spec], autograph=False)


def _cut(encoded):
  """Returns a GIF cut after its first frame, the frame's int64 size, and
  whether the walk came to the frame's end."""
  values = _bytes(encoded, _GIF_PADDING)
  byte = lambda at: tf.cast(tf.gather(values, at), tf.int64)

  def palette_bytes(packed):
    return tf.where(packed >= 128, 3 * 2 ** (packed % 8 + 1), 0)

  def is_inside(at, in_blocks, frame):
    starts_part = (byte(at) == ord('!')) | (byte(at) == ord(','))
    return in_blocks | (starts_part & (frame == 0))

  def step(at, in_blocks, frame):
    """Passes blocks, or what precedes those of an extension or a frame."""
    size = byte(at)
    sizes = values[at : at + _GIF_RUN * (size + 1) : size + 1]
    equal = tf.cast(sizes == values[at], tf.int64)
    run = tf.where(size > 0, tf.reduce_sum(tf.math.cumprod(equal)), 1)
    is_frame = ~in_blocks & (size == ord(','))
    head = tf.where(is_frame, 11 + palette_bytes(byte(at + 9)), 2)
    return (
      at + tf.where(in_blocks, run * (size + 1), head),
      ~in_blocks | (size > 0),  # a chain of blocks ends with an empty one
      tf.where(is_frame, at, frame),
    )

  start = 13 + palette_bytes(byte(10))
  at, in_blocks, frame = tf.while_loop(
    is_inside,
    step,
    (start, tf.constant(False), tf.zeros((), tf.int64)),
    maximum_iterations=_MOST_GIF_STEPS,
  )
  size = tf.stack([_le(values, frame + 5, 2), _le(values, frame + 7, 2)])
  first = tf.strings.substr(encoded, 0, tf.cast(at, tf.int32))
  return tf.strings.join([first, ';']), tf.where(frame > 0, size, 0), ~in_blocks


def _bytes(encoded, padding):
  """The bytes as uint8 [n + padding], padded with zeros."""
  return tf.pad(tf.io.decode_raw(encoded, tf.uint8), [[0, padding]])


def _le(values, at, count: int):
  """Returns the unsigned little-endian integer of `count` bytes."""
  part = tf.cast(values[at : at + count], tf.int64)
  return tf.reduce_sum(part * [256**i for i in range(count)])


def _be(values, at, count: int):
  """Returns the unsigned big-endian integer of `count` bytes."""
  part = tf.cast(values[at : at + count], tf.int64)
  return tf.reduce_sum(part * [256**i for i in reversed(range(count))])


def _bmp_height(values):
  """The height, which a BMP stored from the top has negative."""
  return tf.abs((_le(values, 22, 4) + 2**31) % 2**32 - 2**31)
