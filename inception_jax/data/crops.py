"""Where a training crop is cut: a function of the seed and the position."""

import math

from inception_jax.data.lazy import tf

_ATTEMPTS = 10  # of RandomResizedCrop, and of 'random'
_TENSORFLOW_ATTEMPTS = 100  # TF-slim's and Google's TPU recipes'


def sample(shape, seed, data, boxes=None):
  """Draws the window of `data.train_crop`; 'none' has none.

  Args:
    shape: int32 [3], the image's (height, width, channels).
    seed: int64 [2], (seed, position): the window depends on nothing else.
    data: `config.data`.
    boxes: float32 [N, 4], the boxes of the image's objects as fractions of its
      size (top, left, bottom, right), if known. 'resized' ignores them.

  Returns:
    begin (row, column) and size (height, width): int32 [2] each.
  """
  if data.train_crop == 'resized':
    return _resized(shape[:2], seed, data)
  if boxes is None:
    boxes = tf.zeros((0, 4))
  if data.train_crop == 'tensorflow':
    return _tensorflow(
      shape, seed, data, boxes, data.min_object_covered, _TENSORFLOW_ATTEMPTS
    )
  # 'random' is what earlier versions drew.
  covered = tf.where(tf.shape(boxes)[0] > 0, 0.1, 0.0)
  return _tensorflow(shape, seed, data, boxes, covered, _ATTEMPTS)


def _resized(extent, seed, data):
  """Draws as RandomResizedCrop of torchvision, timm and MindSpore.

  The fraction of the area is uniform in `data.crop_area`, the logarithm of
  width / height in that of `data.crop_ratio`, and every place is as likely. If
  no attempt fits into the image, it is its center, cut to the nearest ratio.
  """
  extent = tf.cast(extent, tf.float32)
  low, high = data.crop_ratio
  ranges = data.crop_area, (math.log(low), math.log(high))
  # A row for each attempt, and the place of the one that fits.
  least, most = (
    [[area, ratio]] * _ATTEMPTS + [[place, place]]
    for area, ratio, place in zip(*ranges, (0.0, 1.0), strict=True)
  )
  draws = tf.random.stateless_uniform(
    (_ATTEMPTS + 1, 2), seed, least, most, alg='philox'
  )
  areas = draws[:-1, :1] * tf.reduce_prod(extent)
  sizes = tf.sqrt(areas * tf.exp(draws[:-1, 1:] * (-1.0, 1.0)))
  largest = tf.clip_by_value(extent[::-1] * (1 / low, high), 1, extent)
  sizes = tf.round(tf.concat([sizes, largest[None]], 0))
  fits = tf.reduce_all((sizes > 0) & (sizes <= extent), 1)
  first = tf.where(fits)[0, 0]
  size = tf.gather(sizes, first)
  free = extent - size
  begin = tf.where(first < _ATTEMPTS, draws[-1] * (free + 1), free / 2)
  return tf.cast(begin, tf.int32), tf.cast(size, tf.int32)


def _tensorflow(shape, seed, data, boxes, min_object_covered, attempts: int):
  """Draws as tf.image.sample_distorted_bounding_box.

  The height is uniform, which favors small areas. The window covers at least
  `min_object_covered` of one box or, without boxes, of the image. If no attempt
  does, it is the whole image.
  """
  begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
    shape,
    boxes[None],
    seed,
    min_object_covered=min_object_covered,
    aspect_ratio_range=data.crop_ratio,
    area_range=data.crop_area,
    max_attempts=attempts,
    use_image_if_no_bounding_boxes=True,
  )
  return begin[:2], size[:2]
