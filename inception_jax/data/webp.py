"""The first frame of an animated WebP, in TensorFlow's graph.

TensorFlow 2.21 decodes all frames, and without transparency writes behind its
memory: it must not be given an animated WebP.
"""

from inception_jax.data.canvas import Canvas
from inception_jax.data.lazy import tf

_FIRST_CHUNK = 30  # after RIFF, size, WEBP and the chunk VP8X of 18 bytes
_MOST_BEFORE = 4  # chunks before the first frame: ICCP and ANIM in practice
_FRAME_HEADER = 16  # place, width, height, duration and flags
# Of a chunk VP8X: its length, and that pixels may be transparent.
_EXTENDED = b'VP8X\x0a\0\0\0\x10\0\0\0'
_BYTES = [bytes([i]) for i in range(256)]


def first_frame(encoded, size, background: bytes | None):
  """Turns the first frame of an animated WebP into a still one.

  Args:
    encoded: scalar string, an animated WebP with the chunk VP8X.
    size: of the canvas, width and height, int64 [2].
    background: its color, three bytes; None: black.

  Returns:
    The still WebP; its `Canvas`; and whether there is one, False if it is cut.
  """
  length = tf.strings.length(encoded)
  at = tf.constant(_FIRST_CHUNK)
  for _ in range(_MOST_BEFORE + 1):
    # Near the file's end, nothing is left to be a chunk.
    at = tf.minimum(at, tf.maximum(length - 8, 0))
    header = tf.strings.substr(encoded, at, 8)
    is_frame = tf.strings.substr(header, 0, 4) == 'ANMF'
    at = tf.where(is_frame, at, at + _chunk_bytes(header))
  end = at + _chunk_bytes(header)
  start = tf.minimum(at + 8, length)
  place, extent = (
    tf.strings.substr(encoded, tf.minimum(start + i, length), 6) for i in (0, 6)
  )
  is_whole = is_frame & (end <= length)
  start = tf.minimum(start + _FRAME_HEADER, length)
  frame = tf.strings.substr(encoded, start, tf.maximum(end - start, 0))
  still = tf.strings.join([b'WEBP', _EXTENDED, extent, frame])
  number = _little_endian(tf.strings.length(still))
  corner = 2 * _pair(place)
  color = tf.constant(list(background or bytes(3)), tf.uint8)
  around = Canvas(tf.maximum(size, corner + _pair(extent) + 1), corner, color)
  return tf.strings.join([b'RIFF', *number, still]), around, is_whole


def _pair(text):
  """Returns two numbers of three bytes each, int64 [2]."""
  values = tf.cast(tf.io.decode_raw(text, tf.uint8), tf.int64)
  values = tf.pad(values, [[0, 6 - tf.shape(values)[0]]])
  return tf.reduce_sum(tf.reshape(values, (2, 3)) * [1, 256, 256**2], 1)


def _chunk_bytes(header):
  """Returns a chunk's length, int32, with its header and padding."""
  values = tf.io.decode_raw(tf.strings.substr(header, 4, 4), tf.uint8)
  values = tf.pad(tf.cast(values, tf.int64), [[0, 4 - tf.shape(values)[0]]])
  size = tf.reduce_sum(values * [1, 256, 256**2, 256**3])
  # Larger ones end behind every file, and would not fit into int32.
  return tf.cast(tf.minimum(8 + size + size % 2, 2**30), tf.int32)


def _little_endian(number):
  """Returns four strings of one byte each."""
  return [tf.gather(_BYTES, number // 256**i % 256) for i in range(4)]
