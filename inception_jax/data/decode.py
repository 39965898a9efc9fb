"""Decoding and cropping on the host, in TensorFlow's graph."""

import io
import math

from etils import epy
import numpy as np
from PIL import Image
from PIL import UnidentifiedImageError

from inception_jax.data import crops
from inception_jax.data import headers
from inception_jax.data import resize

# Seconds: not until data are read.
with epy.lazy_imports():
  import tensorflow as tf

_OBJECT_COVERED = 0.1

# libjpeg's inverse cosine transform. TensorFlow's own choice is the fast one,
# two thirds of a level off on average; PIL's, and so torchvision's and timm's,
# is the other.
_FAST, _ACCURATE = 'INTEGER_FAST', 'INTEGER_ACCURATE'

# What libjpeg can divide sides by, which is faster than to decode all of them.
_SMALLER = (1, 2, 4, 8)


def train_image(image, seed, data, boxes=None):
  """An undecoded record's image → uint8 [S, S, C] for training.

  Args: as `train_crop`.
  """
  return resize.resize_tensorflow(train_crop(image, seed, data, boxes), data)


def train_crop(image, seed, data, boxes=None):
  """What of an undecoded record's image is trained on: uint8 [H, W, 1 or 3].

  A JPEG's, if large, at a half, a fourth or an eighth, not below `image_size`.

  Args:
    image: encoded (scalar string) or raw (uint8 [H, W, 1 or 3]).
    seed: int64 [2], (seed, position): all that the crop depends on.
    data: `config.data`.
    boxes: float32 [N, 4] of the objects in it, if they are known: the crop
      then has a tenth of one of them at least, as TF-slim's.
  """
  if data.train_crop == 'none':
    return _decoded(image, data)

  def window(shape):
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
      shape,
      tf.zeros((1, 0, 4)) if boxes is None else boxes[None],
      seed,
      min_object_covered=0.0 if boxes is None else _covered(boxes),
      aspect_ratio_range=data.crop_ratio,
      area_range=data.crop_area,
      max_attempts=10,
      use_image_if_no_bounding_boxes=True,
    )
    return begin, size

  return _cropped(image, data, window)


def _covered(boxes):
  # Without any, the whole image is the object, and its share is crop_area's.
  return tf.where(tf.shape(boxes)[0] > 0, _OBJECT_COVERED, 0.0)


def eval_canvases(image, data):
  """What the views of `crops.views` are cut from, of an undecoded image.

  Returns:
    {'image': uint8 [S, S, C]} or, where there are squares: their side t, and n
    of them at each scale: {'scale_…': uint8 [n, t, t, C], …, 'image': uint8
    [scales · n, S, S, C]}.
  """
  sides = crops.sides(data.eval_protocol, data.image_size)
  if not sides:
    return {'image': eval_image(image, data)}
  decoded = _decoded(image, data)
  canvases = {}
  for name, side in sides.items():
    resized, size = _shorter_side(decoded, data, side)
    canvases[name] = tf.stack(
      [
        _square(resized, size, side, place)
        for place in crops.places(data.eval_protocol)
      ]
    )
  squares = [x for canvas in canvases.values() for x in tf.unstack(canvas)]
  canvases['image'] = tf.stack(
    [resize.resize_pillow(square, data) for square in squares]
  )
  return canvases


def eval_image(image, data, python: bool = True):
  """An undecoded record's image → uint8 [S, S, C], as `Card.crop_mode` says.

  Without `python` it runs in TensorFlow alone, which cannot read a BMP with a
  palette: that is an error then. And `resize.exact` says what else differs.
  """
  decoded = _decoded(image, data, python)
  if data.eval_crop_mode == 'squash':
    return resize.resize_pillow(decoded, data, python=python)
  if data.eval_crop_mode == 'short_side':
    return _centre(decoded, data, python)
  # Not of a JPEG its window alone: at the window's edge, colours would differ.
  shape = tf.shape(decoded)
  extent = tf.cast(shape[:2], tf.float32) * data.eval_crop_fraction
  size = tf.maximum(1, tf.cast(tf.round(extent), tf.int32))
  begin = tf.concat([(shape[:2] - size) // 2, [0]], 0)
  channels = decoded.shape[-1]
  cropped = tf.slice(decoded, begin, tf.concat([size, [channels]], 0))
  cropped = tf.ensure_shape(cropped, (None, None, channels))
  return resize.resize_pillow(cropped, data, python=python)


def _centre(image, data, python: bool):
  """torchvision's Resize of the shorter side, then its CenterCrop."""
  target = data.image_size
  # Not to be one too few where the share was itself a quotient, as 299 / 341.
  shorter = math.floor(target / data.eval_crop_fraction + 1e-6)
  resized, size = _shorter_side(image, data, shorter, python)
  return _square(resized, size, target, 0.5)


def _shorter_side(image, data, shorter: int, python: bool = True):
  """The image with a shorter side of so many pixels, and its int32 [2] size."""
  extent = tf.shape(image)[:2]
  size = shorter * extent // tf.reduce_min(extent)
  return resize.resize_pillow(image, data, size, python), size


def _square(image, size, side: int, place: float):
  """A square of an image of this size, so far of the way across and down."""
  begin = tf.round(tf.cast(size - side, tf.float32) * place)
  begin = tf.concat([tf.cast(begin, tf.int32), [0]], 0)
  return tf.slice(image, begin, (side, side, image.shape[-1]))


def _decoded(image, data, python: bool = True):
  """uint8 [H, W, 3] of an encoded image; a raw one stays as it is."""
  if image.dtype != tf.string:
    return image

  def jpeg():
    with tf.control_dependencies(_limit(tf.io.extract_jpeg_shape(image), data)):
      return tf.io.decode_jpeg(image, channels=3, dct_method=_ACCURATE)

  def other():
    file = image if python else headers.check(image, data.max_pixels)
    return tf.io.decode_image(file, channels=3, expand_animations=False)

  def by_itself():
    return tf.cond(tf.io.is_jpeg(image), jpeg, other)

  if not python:
    return tf.ensure_shape(by_itself(), (None, None, 3))

  def in_python(function, dtype):
    # Outside of a graph a scalar comes in an array.
    call = lambda x: function(np.asarray(x, object).item(), data.max_pixels)
    return tf.numpy_function(call, [image], dtype, stateful=False)

  # TensorFlow takes a palette's numbers for greys in a BMP.
  rgb = tf.cond(
    in_python(_is_bmp, tf.bool),
    lambda: in_python(_with_pil, tf.uint8),
    by_itself,
  )
  return tf.ensure_shape(rgb, (None, None, 3))


def _is_bmp(encoded: bytes, most: int) -> bool:
  """Reads the header alone; raises ValueError where that is too much."""
  try:
    with Image.open(io.BytesIO(encoded)) as image:
      (width, height), kind = image.size, image.format
  except UnidentifiedImageError as error:
    raise ValueError('no image of a known kind') from error
  if width * height > most:
    raise ValueError(f'{width}×{height} is more than data.max_pixels={most}')
  return kind in ('BMP', 'DIB')


def _with_pil(encoded: bytes, most: int) -> np.ndarray:
  del most  # `_is_bmp` has seen to it
  with Image.open(io.BytesIO(encoded)) as image:
    return np.asarray(image.convert('RGB'))


def _cropped(image, data, window):
  """The window that `window(shape)` names; of a JPEG only it is decoded.

  One of twice the network's size, or more, comes at a half, a fourth or an
  eighth, still not below that size.
  """

  def whole():
    decoded = _decoded(image, data)
    begin, size = window(tf.shape(decoded))
    channels = decoded.shape[-1]
    cropped = tf.slice(decoded, begin, tf.concat([size[:2], [channels]], 0))
    return tf.ensure_shape(cropped, (None, None, channels))

  def jpeg():
    shape = tf.io.extract_jpeg_shape(image)
    begin, size = window(shape)
    box = tf.concat([begin[:2], size[:2]], 0)
    times = tf.reduce_min(size[:2]) // data.image_size
    with tf.control_dependencies(_limit(shape, data)):
      return tf.switch_case(
        tf.reduce_sum(tf.cast(times >= _SMALLER[1:], tf.int32)),
        [lambda by=by: smaller(box, by) for by in _SMALLER],
      )

  def smaller(box, by: int):
    """uint8 [H // by, W // by, 3], of averages over squares of pixels."""
    return tf.io.decode_and_crop_jpeg(
      image, box // by, channels=3, ratio=by, dct_method=_FAST
    )

  if image.dtype != tf.string:
    return whole()
  return tf.cond(tf.io.is_jpeg(image), jpeg, whole)


def _limit(shape, data) -> list:
  """What must have run before an image of this shape is decoded."""
  small = tf.debugging.assert_less_equal(
    tf.reduce_prod(tf.cast(shape[:2], tf.int64)),
    tf.constant(data.max_pixels, tf.int64),
    'more pixels than data.max_pixels',
  )
  return [] if small is None else [small]  # None: it has run already
