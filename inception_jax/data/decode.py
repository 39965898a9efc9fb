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

# Lazy, because importing TensorFlow takes seconds.
with epy.lazy_imports():
  import tensorflow as tf

_MIN_OBJECT_COVERED = 0.1
# libjpeg's inverse cosine transforms. TensorFlow's default is the fast one,
# two thirds of a level off on average. Pillow, and with it torchvision and
# timm, uses the accurate one.
_FAST, _ACCURATE = 'INTEGER_FAST', 'INTEGER_ACCURATE'
# libjpeg decodes at these fractions of the size, faster than at full size.
_JPEG_DIVISORS = (1, 2, 4, 8)


def train_image(image, seed, data, boxes=None):
  """Returns an undecoded image's training input: uint8 [S, S, C].

  Args: as `train_crop`.
  """
  return resize.resize_for_training(train_crop(image, seed, data, boxes), data)


def train_crop(image, seed, data, boxes=None):
  """Returns an undecoded image's training crop: uint8 [H, W, 1 or 3].

  A large JPEG is decoded at 1/2, 1/4 or 1/8, not below `image_size`.

  Args:
    image: encoded (scalar string) or raw (uint8 [H, W, 1 or 3]).
    seed: int64 [2], (seed, position): the crop depends on nothing else.
    data: `config.data`.
    boxes: float32 [N, 4], the boxes of its objects if known. The crop then
      covers at least a tenth of one of them, as TF-slim's does.
  """
  if data.train_crop == 'none':
    return _decode(image, data)

  def window(shape):
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
      shape,
      tf.zeros((1, 0, 4)) if boxes is None else boxes[None],
      seed,
      min_object_covered=0.0 if boxes is None else _min_covered(boxes),
      aspect_ratio_range=data.crop_ratio,
      area_range=data.crop_area,
      max_attempts=10,
      use_image_if_no_bounding_boxes=True,
    )
    return begin, size

  return _decode_window(image, data, window)


def _min_covered(boxes):
  # Without boxes the object is the whole image, and crop_area decides.
  return tf.where(tf.shape(boxes)[0] > 0, _MIN_OBJECT_COVERED, 0.0)


def eval_canvases(image, data):
  """Returns an undecoded image's canvases, from which `crops.views` are cut.

  Returns:
    {'image': uint8 [S, S, C]} or, where the protocol has n squares of side t
    at each scale: {'scale_…': uint8 [n, t, t, C], …, 'image': uint8
    [scales · n, S, S, C]}.
  """
  sides = crops.sides(data.eval_protocol, data.image_size)
  if not sides:
    return {'image': eval_image(image, data)}
  decoded = _decode(image, data)
  canvases = {}
  for name, side in sides.items():
    resized, size = _resize_shorter_side(decoded, data, side)
    canvases[name] = tf.stack(
      [
        _crop_square(resized, size, side, place)
        for place in crops.places(data.eval_protocol)
      ]
    )
  squares = [x for canvas in canvases.values() for x in tf.unstack(canvas)]
  canvases['image'] = tf.stack(
    [resize.resize_antialiased(square, data) for square in squares]
  )
  return canvases


def eval_image(image, data, python: bool = True):
  """Returns an undecoded image's evaluation crop: uint8 [S, S, C].

  `data.eval_crop_mode` is documented at `models.card.Card.crop_mode`. Without
  `python`, only TensorFlow's operations run: a BMP with a palette is an error,
  and pixels differ as `resize.resize_antialiased` documents.
  """
  decoded = _decode(image, data, python)
  if data.eval_crop_mode == 'squash':
    return resize.resize_antialiased(decoded, data, python=python)
  if data.eval_crop_mode == 'short_side':
    return _resize_and_center_crop(decoded, data, python)
  # A JPEG is decoded whole: decoding the window alone would change the colours
  # at its edge.
  shape = tf.shape(decoded)
  extent = tf.cast(shape[:2], tf.float32) * data.eval_crop_fraction
  size = tf.maximum(1, tf.cast(tf.round(extent), tf.int32))
  begin = tf.concat([(shape[:2] - size) // 2, [0]], 0)
  channels = decoded.shape[-1]
  cropped = tf.slice(decoded, begin, tf.concat([size, [channels]], 0))
  cropped = tf.ensure_shape(cropped, (None, None, channels))
  return resize.resize_antialiased(cropped, data, python=python)


def _resize_and_center_crop(image, data, python: bool):
  """torchvision's Resize of the shorter side, then its CenterCrop."""
  target = data.image_size
  # The margin is for fractions that are rounded quotients, as 299 / 341.
  shorter = math.floor(target / data.eval_crop_fraction + 1e-6)
  resized, size = _resize_shorter_side(image, data, shorter, python)
  return _crop_square(resized, size, target, 0.5)


def _resize_shorter_side(image, data, shorter: int, python: bool = True):
  """Returns the image with a shorter side of `shorter`, and its int32 size."""
  extent = tf.shape(image)[:2]
  size = shorter * extent // tf.reduce_min(extent)
  return resize.resize_antialiased(image, data, size, python), size


def _crop_square(image, size, side: int, place: float):
  """Cuts a square at a fraction `place` of the free height and width."""
  begin = tf.round(tf.cast(size - side, tf.float32) * place)
  begin = tf.concat([tf.cast(begin, tf.int32), [0]], 0)
  return tf.slice(image, begin, (side, side, image.shape[-1]))


def _decode(image, data, python: bool = True):
  """Decodes an image to uint8 [H, W, 3]; returns a raw one unchanged."""
  if image.dtype != tf.string:
    return image

  def jpeg():
    shape = tf.io.extract_jpeg_shape(image)
    with tf.control_dependencies(_pixel_limit(shape, data)):
      return tf.io.decode_jpeg(image, channels=3, dct_method=_ACCURATE)

  def other():
    file = image if python else headers.check(image, data.max_pixels)
    return tf.io.decode_image(file, channels=3, expand_animations=False)

  def by_tensorflow():
    return tf.cond(tf.io.is_jpeg(image), jpeg, other)

  if not python:
    return tf.ensure_shape(by_tensorflow(), (None, None, 3))

  def in_python(function, dtype):
    # Outside of a graph, numpy_function passes a scalar as an array.
    call = lambda x: function(np.asarray(x, object).item(), data.max_pixels)
    return tf.numpy_function(call, [image], dtype, stateful=False)

  rgb = tf.cond(
    in_python(_needs_pillow, tf.bool),
    lambda: in_python(_pillow_decode, tf.uint8),
    by_tensorflow,
  )
  return tf.ensure_shape(rgb, (None, None, 3))


def _needs_pillow(encoded: bytes, limit: int) -> bool:
  """Whether it is a BMP: TensorFlow takes palette indices for grey levels.

  Reads the header; raises ValueError for unknown formats and too many pixels.
  """
  try:
    with Image.open(io.BytesIO(encoded)) as image:
      (width, height), kind = image.size, image.format
  except UnidentifiedImageError as error:
    raise ValueError('unknown image format') from error
  if width * height > limit:
    raise ValueError(f'{width}×{height} is more than data.max_pixels={limit}')
  return kind in ('BMP', 'DIB')


def _pillow_decode(encoded: bytes, limit: int) -> np.ndarray:
  del limit  # `_needs_pillow` has checked it
  with Image.open(io.BytesIO(encoded)) as image:
    return np.asarray(image.convert('RGB'))


def _decode_window(image, data, window):
  """Decodes the window `window(shape)` of an image, for a JPEG no more.

  A JPEG window of at least twice the network's size is decoded at 1/2, 1/4 or
  1/8, still not below that size.
  """

  def whole():
    decoded = _decode(image, data)
    begin, size = window(tf.shape(decoded))
    channels = decoded.shape[-1]
    cropped = tf.slice(decoded, begin, tf.concat([size[:2], [channels]], 0))
    return tf.ensure_shape(cropped, (None, None, channels))

  def jpeg():
    shape = tf.io.extract_jpeg_shape(image)
    begin, size = window(shape)
    box = tf.concat([begin[:2], size[:2]], 0)
    times = tf.reduce_min(size[:2]) // data.image_size
    with tf.control_dependencies(_pixel_limit(shape, data)):
      return tf.switch_case(
        tf.reduce_sum(tf.cast(times >= _JPEG_DIVISORS[1:], tf.int32)),
        [lambda by=by: divided(box, by) for by in _JPEG_DIVISORS],
      )

  def divided(box, by: int):
    """uint8 [H // by, W // by, 3], averages over squares of pixels."""
    return tf.io.decode_and_crop_jpeg(
      image, box // by, channels=3, ratio=by, dct_method=_FAST
    )

  if image.dtype != tf.string:
    return whole()
  return tf.cond(tf.io.is_jpeg(image), jpeg, whole)


def _pixel_limit(shape, data) -> list:
  """Returns the check of `data.max_pixels`, which decoding has to wait for."""
  check = tf.debugging.assert_less_equal(
    tf.reduce_prod(tf.cast(shape[:2], tf.int64)),
    tf.constant(data.max_pixels, tf.int64),
    'more pixels than data.max_pixels',
  )
  return [] if check is None else [check]  # None: it has already run
