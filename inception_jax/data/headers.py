"""Image size limits checked on the file header alone, in TensorFlow's graph.

For graphs that run without Python, where Pillow is not available. A file of a
few kB may decode to gigabytes.
"""

from inception_jax.data.lazy import tf

_HEADER_BYTES = 32  # hold the size in every format but GIF
# No step from one block of a GIF to the next is longer. With as much padding,
# the walk over the blocks stays inside the array.
_MAX_GIF_STEP = 1024


def check(encoded, limit: int):
  """Returns a PNG, GIF, BMP or WebP that is safe to decode.

  Args:
    encoded: scalar string, not a JPEG.
    limit: the most pixels, width × height.

  Returns:
    `encoded`; a GIF ends after its first frame, since TensorFlow decodes all.

  Raises:
    tf.errors.InvalidArgumentError: at run time, for more pixels, for another
      format, and for a BMP with a palette, whose indices TensorFlow would take
      for grey levels.
  """
  header = tf.strings.substr(encoded, 0, _HEADER_BYTES)
  header = _byte_values(header, _HEADER_BYTES)
  has = lambda word, at=0: tf.reduce_all(
    header[at : at + len(word)] == tf.constant(list(word), tf.int64)
  )
  is_webp = lambda kind: has(b'RIFF') & has(b'WEBP' + kind, 8)
  is_gif, is_bmp = has(b'GIF8'), has(b'BM')
  bits = _le(header, 21, 4)
  # (is this format, width, height); at most one of them applies.
  formats = [
    (has(b'\x89PNG'), _be(header, 16, 4), _be(header, 20, 4)),
    (is_gif, _le(header, 6, 2), _le(header, 8, 2)),
    (is_bmp, _bmp_extent(header, 18), _bmp_extent(header, 22)),
    (is_webp(b'VP8 '), _le(header, 26, 2) % 2**14, _le(header, 28, 2) % 2**14),
    (is_webp(b'VP8L'), bits % 2**14 + 1, bits // 2**14 % 2**14 + 1),
    (is_webp(b'VP8X'), _le(header, 24, 3) + 1, _le(header, 27, 3) + 1),
  ]
  is_known = tf.reduce_any([matches for matches, _, _ in formats])
  size = tf.add_n(
    [tf.where(matches, tf.stack([w, h]), 0) for matches, w, h in formats]
  )
  whole = (encoded, tf.zeros(2, tf.int64))
  encoded, frame = tf.cond(is_gif, lambda: _first_frame(encoded), lambda: whole)
  # TensorFlow decodes a GIF's frame, Pillow a canvas for frame and screen.
  width, height = tf.unstack(tf.maximum(size, frame))
  too_large = tf.strings.format(
    f'{{}}×{{}} is more than data.max_pixels={limit}', (width, height)
  )
  checks = [
    tf.debugging.Assert(is_known, ['unknown image format']),
    # Not by their product, which may overflow.
    tf.debugging.Assert(width <= limit // tf.maximum(height, 1), [too_large]),
    tf.debugging.Assert(
      ~is_bmp | (_le(header, 28, 2) > 8),
      ['a BMP with a palette is not supported'],
    ),
  ]
  # Outside of a graph they have already run, and are None.
  with tf.control_dependencies([op for op in checks if op is not None]):
    return tf.identity(encoded)


def _first_frame(encoded):
  """Returns a GIF cut after its first frame, and the frame's int64 size."""
  values = _byte_values(encoded, tf.strings.length(encoded) + _MAX_GIF_STEP)

  def palette_bytes(packed):
    return tf.where(packed >= 128, 3 * 2 ** (packed % 8 + 1), 0)

  def after_blocks(at):  # a chain of blocks ends with an empty one
    (at,) = tf.while_loop(
      lambda at: values[at] > 0, lambda at: (at + values[at] + 1,), (at,)
    )
    return at + 1

  (at,) = tf.while_loop(
    lambda at: values[at] == ord('!'),  # an extension
    lambda at: (after_blocks(at + 2),),
    (13 + palette_bytes(values[10]),),
  )
  size = tf.stack([_le(values, at + 5, 2), _le(values, at + 7, 2)])
  end = after_blocks(at + 11 + palette_bytes(values[at + 9]))
  first = tf.strings.substr(encoded, 0, tf.cast(end, tf.int32))
  return tf.strings.join([first, ';']), size


def _byte_values(encoded, count):
  """The bytes as int64 [count], padded with zeros."""
  values = tf.cast(tf.io.decode_raw(encoded, tf.uint8), tf.int64)
  return tf.pad(values, [[0, count - tf.shape(values)[0]]])


def _le(values, at, count: int):
  """Returns the unsigned little-endian integer of `count` bytes."""
  return tf.add_n([values[at + i] * 256**i for i in range(count)])


def _be(values, at, count: int):
  """Returns the unsigned big-endian integer of `count` bytes."""
  return tf.add_n([values[at + count - 1 - i] * 256**i for i in range(count)])


def _bmp_extent(values, at):
  """A width or height, which a BMP stored from the top has negative."""
  return tf.abs((_le(values, at, 4) + 2**31) % 2**32 - 2**31)
