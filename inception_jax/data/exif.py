"""EXIF orientation of JPEGs, in TensorFlow's graph.

Cameras and phones store images as the sensor was held, and note in which of
eight ways they are to be turned: CIPA DC-008 (EXIF 2.32), tag 0x0112.
"""

from inception_jax.data.lazy import tf

_TAG = 0x0112
_SHORT = 3  # the type of a number of two bytes
_ENTRY_BYTES = 12
_MOST_ENTRIES = 64
_MOST_BYTES = 2**16  # a JPEG's segments are no longer
# Orientations of which the stored image is transposed, and after that, those of
# which the rows or the columns are reversed.
_TRANSPOSED, _ROWS, _COLUMNS = (5, 6, 7, 8), (3, 4, 7, 8), (2, 3, 6, 7)


def turned(image):
  """Returns whether an undecoded image is a JPEG that 'apply' turns: bool."""
  if image.dtype != tf.string:
    return tf.constant(False)
  return tf.cond(
    tf.io.is_jpeg(image),
    lambda: orientation(image) > 1,
    lambda: tf.constant(False),
  )


def orientation(encoded):
  """Returns a JPEG's orientation, int32 from 1 to 8; 1 where it has none.

  Args:
    encoded: scalar string.
  """
  header = _split(encoded, b'\xff\xda')[0]  # what precedes the pixels
  parts = _split(header, b'Exif\0\0')
  return tf.cond(
    tf.size(parts) > 1,
    lambda: _parse(tf.strings.substr(parts[-1], 0, _MOST_BYTES)),
    lambda: tf.constant(1),
  )


def _split(text, separator: bytes):
  """Returns the parts before and after the first separator, or all in one."""
  return tf.raw_ops.StringSplitV2(
    input=[text], sep=separator, maxsplit=1
  ).values


def _parse(tiff):
  """Returns the orientation in EXIF data, a TIFF, or 1."""
  values = tf.io.decode_raw(tiff, tf.uint8)
  # Whatever the offsets are, reading stays in the padding.
  values = tf.pad(values, [[0, _MOST_ENTRIES * _ENTRY_BYTES + 8]])
  values = tf.cast(values, tf.int32)
  is_little = tf.strings.substr(tiff, 0, 2) == 'II'

  def number(at, size: int):
    """Returns the numbers of `size` bytes at offsets."""
    order = tf.range(size)
    order = tf.where(is_little, order, size - 1 - order)
    digits = tf.gather(values, at[..., None] + order)
    return tf.reduce_sum(digits * 256 ** tf.range(size), -1)

  end = tf.strings.length(tiff)
  start = tf.clip_by_value(number(tf.constant(4), 4), 0, end)
  count = number(start, 2)
  entries = start + 2 + tf.range(_MOST_ENTRIES) * _ENTRY_BYTES
  is_orientation = (
    (tf.range(_MOST_ENTRIES) < count)
    & (number(entries, 2) == _TAG)
    & (number(entries + 2, 2) == _SHORT)
  )
  found = tf.reduce_max(tf.where(is_orientation, number(entries + 8, 2), 1))
  return tf.where((found >= 1) & (found <= 8), found, 1)


def upright(image, turn):
  """Returns an image [H, W, C] as its orientation says, int32 `turn`."""

  def turned():
    result = tf.cond(
      _is_in(turn, _TRANSPOSED),
      lambda: tf.transpose(image, (1, 0, 2)),
      lambda: image,
    )
    for axis, turns in enumerate((_ROWS, _COLUMNS)):
      result = tf.cond(
        _is_in(turn, turns),
        lambda x=result, axis=axis: tf.reverse(x, [axis]),
        lambda x=result: x,
      )
    return result

  return tf.cond(turn > 1, turned, lambda: image)


def upright_shape(shape, turn):
  """Returns (height, width, …) of the upright image, as a tensor."""
  swapped = tf.concat([shape[1::-1], shape[2:]], 0)
  return tf.where(_is_in(turn, _TRANSPOSED), swapped, shape)


def stored_window(begin, size, shape, turn):
  """Returns where the stored image has a window of the upright one.

  Args:
    begin: row and column of the window, int32 [2].
    size: its height and width, int32 [2].
    shape: of the upright image, int32 [2 or more].
    turn: the orientation, int32.

  Returns:
    begin and size in the stored image.
  """
  reverses = tf.stack([_is_in(turn, _ROWS), _is_in(turn, _COLUMNS)])
  begin = tf.where(reverses, shape[:2] - begin - size, begin)
  is_transposed = _is_in(turn, _TRANSPOSED)
  return (
    tf.where(is_transposed, begin[::-1], begin),
    tf.where(is_transposed, size[::-1], size),
  )


def _is_in(turn, turns: tuple[int, ...]):
  return tf.reduce_any(turn == tf.constant(turns))
