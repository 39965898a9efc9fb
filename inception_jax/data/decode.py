"""Decoding and cropping on the host, in TensorFlow's graph."""

import math

from inception_jax.data import crops
from inception_jax.data import exif
from inception_jax.data import jpeg as jpeg_lib
from inception_jax.data import other_formats
from inception_jax.data import pillow
from inception_jax.data import resize
from inception_jax.data import views
from inception_jax.data.lazy import tf

# libjpeg's inverse cosine transforms. TensorFlow's default is the fast one,
# two thirds of a level off on average. Pillow, and with it torchvision and
# timm, and MindSpore use the accurate one.
_FAST, _ACCURATE = 'INTEGER_FAST', 'INTEGER_ACCURATE'
# Up to this, an image is resized whatever `data.max_pixels` is.
_ASPECT_RATIO = 16
# libjpeg decodes at these fractions of the size, faster than at full size.
_JPEG_DIVISORS = (1, 2, 4, 8)


def train_image(image, seed, data, boxes=None):
  """Returns the crop of `train_crop`, resized to uint8 [S, S, C]."""
  return resize.resize_for_training(train_crop(image, seed, data, boxes), data)


def train_crop(image, seed, data, boxes=None):
  """Returns an undecoded image's training crop: uint8 [H, W, 1 or 3].

  A JPEG crop of at least twice the network's size is decoded at 1/2, 1/4 or
  1/8, still not below that size; at full size for the interpolations of
  `resize.UNFILTERED`, as in their frameworks.

  Args:
    image: encoded (scalar string) or raw (uint8 [H, W, 1 or 3]).
    seed: int64 [2], (seed, position): the crop depends on nothing else.
    data: `config.data`.
    boxes: float32 [N, 4], the boxes of its objects if known, as in
      `crops.sample`.
  """
  if data.train_crop == 'none':
    return _decode(image, data)
  window = lambda shape: crops.sample(shape, seed, data, boxes)
  return _decode_window(image, data, window)


def eval_canvases(image, data):
  """Returns an undecoded image's canvases, from which `views.views` are cut.

  Returns:
    {'image': uint8 [S, S, C]} or, where the protocol has n squares of side t
    at each scale: {'scale_…': uint8 [n, t, t, C], …, 'image': uint8
    [scales · n, S, S, C]}.
  """
  sides = views.sides(data.eval_protocol, data.image_size)
  if not sides:
    return {'image': eval_image(image, data)}
  decoded = _decode(image, data)
  places = views.places(data.eval_protocol)
  canvases, scaled = {}, []
  for name, side in sides.items():
    resized, size = _resize_shorter_side(decoded, data, side)
    squares = [_crop_square(resized, size, side, place) for place in places]
    canvases[name] = tf.stack(squares)
    scaled += [resize.resize_for_evaluation(x, data) for x in squares]
  return {**canvases, 'image': tf.stack(scaled)}


def eval_image(image, data, python: bool = True):
  """Returns an undecoded image's evaluation crop: uint8 [S, S, C].

  `data.eval_crop_mode` is documented at `models.card.Card.crop_mode`. Without
  `python`, only TensorFlow's operations run: a BMP with a palette is an error,
  and pixels differ as `resize.resize_for_evaluation` documents.
  """
  mode, side = data.eval_crop_mode, data.image_size
  fraction = data.eval_crop_fraction
  decoded = _decode(image, data, python)
  if mode in ('short_side', 'mindspore_short_side'):
    # The margin is for fractions that are rounded quotients, as 299 / 341.
    shorter = math.floor(side / fraction + 1e-6)
    mindspore = mode == 'mindspore_short_side'
    resized, size = _resize_shorter_side(
      decoded, data, shorter, python, mindspore
    )
    if mindspore:
      return _crop(resized, (size - side) // 2, (side, side))
    return _crop_square(resized, size, side, 0.5)
  # A JPEG is decoded whole: decoding the window alone would change the colors
  # at its edge.
  if mode == 'tf_central':
    decoded = tf.image.central_crop(decoded, fraction)
  elif mode == 'central':
    shape = tf.shape(decoded)[:2]
    extent = tf.cast(shape, tf.float32) * fraction
    size = tf.maximum(1, tf.cast(tf.round(extent), tf.int32))
    decoded = _crop(decoded, (shape - size) // 2, size)
  return resize.resize_for_evaluation(decoded, data, python=python)


def whole_image(image, data):
  """Returns an undecoded image, neither cropped nor resized: uint8 [H, W, C].

  A raw one is converted to the channels of `data` alone.
  """
  return resize.match_channels(_decode(image, data), data)


def _resize_shorter_side(
  image, data, shorter: int, python: bool = True, mindspore: bool = False
):
  """Returns the image with a shorter side of `shorter`, and its int32 size.

  The longer side is rounded down, as in torchvision; with `mindspore` from
  float32, as there (2.10; earlier releases rounded to the nearest).

  Raises tf.errors.InvalidArgumentError if it would be larger than any image: a
  strip one pixel wide grows by `shorter` in both directions.
  """
  extent = tf.cast(tf.shape(image)[:2], tf.int64)
  least = tf.reduce_min(extent)
  if mindspore:
    ratio = tf.cast(extent, tf.float32) / tf.cast(least, tf.float32)
    size = tf.cast(ratio * shorter, tf.int64)
  else:
    size = shorter * extent // least
  limit = max(data.max_pixels, _ASPECT_RATIO * shorter**2)
  check = tf.debugging.assert_less_equal(
    tf.reduce_prod(size),
    tf.constant(limit, tf.int64),
    f'a shorter side of {shorter} makes it larger than data.max_pixels',
  )
  with tf.control_dependencies([] if check is None else [check]):
    size = tf.cast(size, tf.int32)
  return resize.resize_for_evaluation(image, data, size, python), size


def _crop_square(image, size, side: int, place: float):
  """Cuts a square at a fraction `place` of the free height and width."""
  begin = tf.round(tf.cast(size - side, tf.float32) * place)
  return _crop(image, tf.cast(begin, tf.int32), (side, side))


def _crop(image, begin, size):
  """Cuts `size` (height, width) from `begin` (row, column) on."""
  channels = image.shape[-1]
  size = (size[0], size[1], channels)
  cropped = tf.slice(image, (begin[0], begin[1], 0), size)
  return tf.ensure_shape(cropped, (None, None, channels))


def _decode(image, data, python: bool = True):
  """Decodes an image to uint8 [H, W, 3]; returns a raw one unchanged."""
  if image.dtype != tf.string:
    return image

  # TF-slim decodes with TensorFlow's default.
  method = _FAST if data.interpolation == resize.TF1 else _ACCURATE

  def jpeg():
    file, shape, _ = jpeg_lib.check(image, data.max_pixels)
    decode = lambda: tf.io.decode_jpeg(file, channels=3, dct_method=method)
    if python and method == _ACCURATE:
      # TensorFlow rounds CMYK down, and takes it for inverted in other cases.
      by_pillow = lambda: pillow.in_graph(file, data.max_pixels)
      decoded = tf.cond(_is_cmyk(shape), by_pillow, decode)
    else:
      decoded = decode()
    if data.exif != 'apply':
      return decoded
    return exif.upright(decoded, exif.orientation(file))

  other = lambda image: other_formats.decode(image, data, python)
  if python and not tf.executing_eagerly():
    # Not inlined: each operation of a branch that is not taken costs time. In
    # a SavedModel, errors would begin with the names of functions.
    attributes = {'_noinline': True}
    other = tf.function(
      other, autograph=False, experimental_attributes=attributes
    )
  rgb = tf.cond(tf.io.is_jpeg(image), jpeg, lambda: other(image))
  return tf.ensure_shape(rgb, (None, None, 3))


def _is_cmyk(shape):
  return shape[-1] == 4


def _undamaged(file):
  """Returns a JPEG unless decoding it to its end fails.

  A window that ends before the damage would be decoded.
  """
  with tf.control_dependencies([tf.io.decode_jpeg(file, channels=3)]):
    return tf.identity(file)


def _decode_window(image, data, window):
  """Decodes an image and cuts out `window(shape)`, for a JPEG at once."""

  def whole():
    decoded = _decode(image, data)
    return _crop(decoded, *window(tf.shape(decoded)))

  def jpeg():
    file, shape, is_complete = jpeg_lib.check(image, data.max_pixels)
    file = tf.cond(is_complete, lambda: file, lambda: _undamaged(file))
    if data.exif != 'apply':
      return cropped(file, *window(shape))
    turn = exif.orientation(file)
    shape = exif.upright_shape(shape, turn)
    stored = exif.stored_window(*window(shape), shape, turn)
    return exif.upright(cropped(file, *stored), turn)

  def cropped(file, begin, size):
    box = tf.concat([begin, size], 0)
    if data.interpolation in resize.UNFILTERED:
      return divided(file, box, 1)
    times = tf.reduce_min(size) // data.image_size
    return tf.switch_case(
      tf.reduce_sum(tf.cast(times >= _JPEG_DIVISORS[1:], tf.int32)),
      [lambda by=by: divided(file, box, by) for by in _JPEG_DIVISORS],
    )

  def divided(file, box, by: int):
    """uint8 [H // by, W // by, 3], averages over squares of pixels."""
    return tf.io.decode_and_crop_jpeg(
      file, box // by, channels=3, ratio=by, dct_method=_FAST
    )

  if image.dtype != tf.string:
    return whole()
  is_for_tensorflow = tf.cond(
    tf.io.is_jpeg(image),
    lambda: ~_is_cmyk(tf.io.extract_jpeg_shape(image)),
    lambda: tf.constant(False),
  )
  return tf.cond(is_for_tensorflow, jpeg, whole)
