"""What a JPEG may ask of its decoder, checked before that is called.

Where crops decode a part of a file, they must fail as the whole file does.
"""

from inception_jax.data import checks
from inception_jax.data.lazy import tf

# Each scan may change every pixel; libvips has the same limit.
_MOST_SCANS = 100
_END = 0xD9
_RESTARTS = 0xD0 // 8  # 0xD0 to 0xD7


def check(encoded, limit: int):
  """Returns a JPEG that is safe to decode, its shape, and if it is complete.

  The shape is int32 [3]. A file is complete if the marker of its end is the
  first behind its last scan, whatever comes then, such as the video of a motion
  photo. Another one in the scan may be an error that a crop does not reach.

  Args: as `headers.check`.

  Raises:
    tf.errors.InvalidArgumentError: at run time, for more pixels, and for as
      much work as more than 100 scans of an image of `limit` pixels.
  """
  shape = tf.io.extract_jpeg_shape(encoded)
  height, width, _ = tf.unstack(tf.cast(shape, tf.int64))
  parts = checks.split(encoded, b'\xff\xda')
  scans = tf.size(parts, tf.int64) - 1
  is_complete = _first_marker(parts[-1]) == _END
  most = _MOST_SCANS * limit // tf.maximum(width * height, 1)
  problem = checks.first_problem(
    checks.is_small(width, height, limit),
    (
      scans <= tf.minimum(most, checks.MOST_COUNTED - 1),
      f'{{}} scans of {{}}×{{}} are more work than {_MOST_SCANS} of '
      f'data.max_pixels={limit}',
      (scans, width, height),
    ),
  )
  return checks.unless(problem, (encoded, shape, is_complete))


def _first_marker(scan):
  """Returns the first marker in or behind a scan, restarts aside, or any code.

  A byte of 255 is data if 0 follows.
  """
  parts = checks.split(scan, b'\xff', most=10 * checks.MOST_COUNTED)
  codes = tf.strings.reduce_join(tf.strings.substr(parts[1:], 0, 1))
  codes = tf.pad(tf.io.decode_raw(codes, tf.uint8), [[0, 1]])
  is_marker = (codes != 0) & (codes // 8 != _RESTARTS)
  return codes[tf.argmax(tf.cast(is_marker, tf.uint8))]
