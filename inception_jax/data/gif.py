"""Cutting a GIF after its first frame, in TensorFlow's graph."""

from inception_jax.data.lazy import tf

# A step takes up to 64 blocks of equal size, so that an encoder's 255 MB need
# fewer steps than this, which take half a second.
_RUN = 64
_MOST_STEPS = 2**14
# No step ends farther behind the file's end, and padding ends the walk.
_PADDING = 1024


def first_frame(encoded):
  """Walks over the blocks of a GIF up to the end of its first frame.

  Args:
    encoded: scalar string, a GIF.

  Returns:
    The GIF without what follows; the frame's width and height, int64 [2]; and
    whether the walk came to the frame's end, False if it takes too many steps.
  """
  values = tf.io.decode_raw(encoded, tf.uint8)
  values = tf.pad(values, [[0, _PADDING]])
  byte = lambda at: tf.cast(tf.gather(values, at), tf.int64)

  def palette_bytes(packed):
    return tf.where(packed >= 128, 3 * 2 ** (packed % 8 + 1), 0)

  def is_inside(at, in_blocks, frame):
    starts_part = (byte(at) == ord('!')) | (byte(at) == ord(','))
    return in_blocks | (starts_part & (frame == 0))

  def step(at, in_blocks, frame):
    """Passes blocks, or what precedes those of an extension or a frame."""
    size = byte(at)
    sizes = values[at : at + _RUN * (size + 1) : size + 1]
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
    maximum_iterations=_MOST_STEPS,
  )
  size = byte(tf.add(frame, [5, 7])) + 256 * byte(tf.add(frame, [6, 8]))
  first = tf.strings.substr(encoded, 0, tf.cast(at, tf.int32))
  whole = tf.strings.join([first, ';'])
  return whole, tf.where(frame > 0, size, 0), ~in_blocks
