"""What an image says of itself before it is decoded, in TensorFlow's graph.

For graphs that run without Python, where PIL cannot be asked. A file of a few
kB may want gigabytes.
"""

from etils import epy

# Seconds: not until data are read.
with epy.lazy_imports():
  import tensorflow as tf

_HEAD = 32  # bytes, in which all but GIF say how large they are

# The longest step from one block of a GIF to the next: no walk goes past it.
_LONGEST = 1024


def check(encoded, most: int):
  """A PNG, GIF, BMP or WebP that can be decoded, or an error.

  Args:
    encoded: scalar string; no JPEG.
    most: pixels.

  Returns:
    It as it was; of a GIF its first frame alone, since TensorFlow decodes all.

  Raises:
    tf.errors.InvalidArgumentError: when it runs, for more pixels, for what is
      none of these kinds, and for a BMP with a palette, whose numbers
      TensorFlow takes for greys.
  """
  head = _numbers(tf.strings.substr(encoded, 0, _HEAD), _HEAD)
  has = lambda word, at=0: tf.reduce_all(
    head[at : at + len(word)] == tf.constant(list(word), tf.int64)
  )
  is_webp = has(b'RIFF') & has(b'WEBP', 8)
  is_gif, is_bmp = has(b'GIF8'), has(b'BM')
  bits = _little(head, 21, 4)
  sizes = [  # at most one of them is so
    (has(b'\x89PNG'), _big(head, 16, 4), _big(head, 20, 4)),
    (is_gif, _little(head, 6, 2), _little(head, 8, 2)),
    (is_bmp, _extent(head, 18), _extent(head, 22)),
    (
      is_webp & has(b'VP8 ', 12),
      _little(head, 26, 2) % 2**14,
      _little(head, 28, 2) % 2**14,
    ),
    (is_webp & has(b'VP8L', 12), bits % 2**14 + 1, bits // 2**14 % 2**14 + 1),
    (
      is_webp & has(b'VP8X', 12),
      _little(head, 24, 3) + 1,
      _little(head, 27, 3) + 1,
    ),
  ]
  is_known = tf.reduce_any([is_so for is_so, _, _ in sizes])
  size = tf.add_n(
    [tf.where(is_so, tf.stack([w, h]), 0) for is_so, w, h in sizes]
  )
  encoded, frame = tf.cond(
    is_gif,
    lambda: _first_frame(encoded),
    lambda: (encoded, tf.zeros(2, tf.int64)),
  )
  # TensorFlow's is the frame's; PIL's is what holds it and the screen.
  width, height = tf.unstack(tf.maximum(size, frame))
  says = tf.strings.format(
    f'{{}}×{{}} is more than data.max_pixels={most}', (width, height)
  )
  must = [
    tf.debugging.Assert(is_known, ['no image of a known kind']),
    # Not their product, which might be more than there are numbers for.
    tf.debugging.Assert(width <= most // tf.maximum(height, 1), [says]),
    tf.debugging.Assert(
      ~is_bmp | (_little(head, 28, 2) > 8),
      ['a BMP with a palette: not supported'],
    ),
  ]
  # Outside of a graph they have run by now.
  with tf.control_dependencies([check for check in must if check is not None]):
    return tf.identity(encoded)


def _first_frame(encoded):
  """A GIF that ends after its first frame, whose size is int64 [2]."""
  numbers = _numbers(encoded, tf.strings.length(encoded) + _LONGEST)

  def table(packed):  # bytes of a palette
    return tf.where(packed >= 128, 3 * 2 ** (packed % 8 + 1), 0)

  def after(at):  # a chain of blocks, the last of which is empty
    (at,) = tf.while_loop(
      lambda at: numbers[at] > 0, lambda at: (at + numbers[at] + 1,), (at,)
    )
    return at + 1

  (at,) = tf.while_loop(
    lambda at: numbers[at] == ord('!'),  # an extension
    lambda at: (after(at + 2),),
    (13 + table(numbers[10]),),
  )
  size = tf.stack([_little(numbers, at + 5, 2), _little(numbers, at + 7, 2)])
  end = after(at + 11 + table(numbers[at + 9]))
  whole = tf.strings.substr(encoded, 0, tf.cast(end, tf.int32))
  return tf.strings.join([whole, ';']), size


def _numbers(encoded, count):
  """int64 [count] of the bytes, then of zeros."""
  found = tf.cast(tf.io.decode_raw(encoded, tf.uint8), tf.int64)
  return tf.pad(found, [[0, count - tf.shape(found)[0]]])


def _little(numbers, at, count: int):
  """The number of so many bytes, its lowest first."""
  return tf.add_n([numbers[at + i] * 256**i for i in range(count)])


def _big(numbers, at, count: int):
  return tf.add_n(
    [numbers[at + i] * 256 ** (count - 1 - i) for i in range(count)]
  )


def _extent(numbers, at):
  """Of a BMP: negative, where it is stored from the top."""
  return tf.abs((_little(numbers, at, 4) + 2**31) % 2**32 - 2**31)
