"""The first frame of a GIF on its canvas, in TensorFlow's graph.

TensorFlow decodes all frames, paints transparent pixels black, and gives a
frame that is smaller than its canvas without it, or not at all. Here, as in
Pillow, pixels keep the color that the palette has for them.
"""

from inception_jax.data.canvas import Canvas
from inception_jax.data.lazy import tf

# A step takes up to 64 blocks of equal size, so that an encoder's 255 MB need
# fewer steps than this, which take half a second.
_RUN = 64
_MOST_STEPS = 2**14
# No step ends farther behind the file's end, and padding ends the walk.
_PADDING = 1024
_CONTROL = 0xF9  # the extension that says which pixels are transparent


def first_frame(encoded, background: bytes | None):
  """Walks over the blocks of a GIF up to the end of its first frame.

  Args:
    encoded: scalar string, a GIF.
    background: the color of transparent pixels, three bytes; None: that of the
      palette.

  Returns:
    The GIF without what follows, opaque, its frame in the canvas's corner; its
    `Canvas`; and whether the walk came to the frame's end, False if it takes
    too many steps.
  """
  values = tf.io.decode_raw(encoded, tf.uint8)
  values = tf.pad(values, [[0, _PADDING]])
  byte = lambda at: tf.cast(tf.gather(values, at), tf.int64)

  def palette_bytes(packed):
    return tf.where(packed >= 128, 3 * 2 ** (packed % 8 + 1), 0)

  def is_inside(at, in_blocks, frame, _):
    starts_part = (byte(at) == ord('!')) | (byte(at) == ord(','))
    return in_blocks | (starts_part & (frame == 0))

  def step(at, in_blocks, frame, control):
    """Passes blocks, or what precedes those of an extension or a frame."""
    size = byte(at)
    sizes = values[at : at + _RUN * (size + 1) : size + 1]
    equal = tf.cast(sizes == values[at], tf.int64)
    run = tf.where(size > 0, tf.reduce_sum(tf.math.cumprod(equal)), 1)
    is_frame = ~in_blocks & (size == ord(','))
    head = tf.where(is_frame, 11 + palette_bytes(byte(at + 9)), 2)
    is_control = ~in_blocks & ~is_frame & (byte(at + 1) == _CONTROL)
    return (
      at + tf.where(in_blocks, run * (size + 1), head),
      ~in_blocks | (size > 0),  # a chain of blocks ends with an empty one
      tf.where(is_frame, at, frame),
      tf.where(is_control, at, control),
    )

  start = 13 + palette_bytes(byte(10))
  zero = tf.zeros((), tf.int64)
  at, in_blocks, frame, control = tf.while_loop(
    is_inside,
    step,
    (start, tf.constant(False), zero, zero),
    maximum_iterations=_MOST_STEPS,
  )
  number = lambda places: byte(places) + 256 * byte(tf.add(places, 1))
  corner = tf.where(frame > 0, number(tf.add(frame, [1, 3])), 0)
  extent = tf.where(frame > 0, number(tf.add(frame, [5, 7])), 0)
  first = tf.strings.substr(encoded, 0, tf.cast(at, tf.int32))
  whole = tf.strings.join([_replace(first, frame + 1, bytes(4)), ';'])
  whole = tf.where(frame > 0, whole, first)
  has_own = byte(frame + 9) >= 128
  palette = tf.where(has_own, frame + 10, 13)
  colors = palette_bytes(byte(tf.where(has_own, frame + 9, 10))) // 3
  is_clear = (control > 0) & (byte(control + 3) % 2 == 1)
  index = tf.where(is_clear, byte(control + 6), 0)
  entry = palette + 3 * index
  # Later entries would be bytes of something else.
  is_clear &= (frame > 0) & (index < colors)
  color = tf.gather(values, tf.add(entry, [0, 1, 2]))
  if background is not None:
    color = tf.where(is_clear, tf.constant(list(background), tf.uint8), color)
  whole = tf.cond(
    is_clear,
    lambda: _opaque(whole, control + 3, entry, background),
    lambda: whole,
  )
  canvas = Canvas(tf.maximum(number([6, 8]), corner + extent), corner, color)
  return whole, canvas, ~in_blocks


def _opaque(encoded, flags, entry, background: bytes | None):
  """Returns a GIF without transparency: clears the flags, and sets a color."""
  encoded = _replace(encoded, flags, bytes(1))
  if background is None:
    return encoded
  return _replace(encoded, entry, background)


def _replace(encoded, at, word: bytes):
  """Returns a string that has other bytes from `at` on."""
  length = tf.strings.length(encoded)
  at = tf.minimum(tf.cast(at, tf.int32), length)
  end = tf.minimum(at + len(word), length)
  return tf.strings.join(
    [
      tf.strings.substr(encoded, 0, at),
      word,
      tf.strings.substr(encoded, end, length - end),
    ]
  )
