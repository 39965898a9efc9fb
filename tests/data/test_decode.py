"""Decoding and cropping, against Pillow."""

import io

import numpy as np
from PIL import Image
from PIL import ImageCms
from PIL import ImageOps
import pytest
import tensorflow as tf

from configs import digits
from inception_jax.data import crops
from inception_jax.data import decode
from inception_jax.models import factory


def test_central_crop_of_raw_png_and_jpeg_images():
  config = factory.resolve(digits.get_config())
  config.data.image_size = 10
  config.data.eval_crop_fraction = 0.5
  image = np.zeros((20, 20, 3), np.uint8)
  image[5:15, 5:15] = 200  # the crop
  for given in (
    image,
    tf.io.encode_png(image),
    tf.io.encode_jpeg(image, quality=100),
  ):
    out = decode.eval_image(tf.convert_to_tensor(given), config.data)
    assert out.shape == (10, 10, 3)
    assert abs(int(out.numpy()[2:8, 2:8].mean()) - 200) <= 2


@pytest.mark.parametrize('rest', [b'', b'rest', bytes(99)])
def test_bytes_after_a_bmp_are_ignored(rest):
  file = io.BytesIO()
  pixels = np.random.default_rng(0).integers(0, 256, (40, 41, 3), np.uint8)
  Image.fromarray(pixels).save(file, 'BMP')
  data = factory.resolve(digits.get_config()).data
  data.update(image_size=40, eval_crop_mode='short_side', eval_crop_fraction=1)
  content = tf.constant(file.getvalue() + rest)
  for python in (True, False):
    decoded = decode.eval_image(content, data, python)
    np.testing.assert_array_equal(decoded, pixels[:, :40])


def frames_with_alpha():
  """Three pictures, each with four independent channels."""
  y, x = np.mgrid[:40, :50]
  channels = [x * 5, y * 6, x + y, x * 3 + y]
  pixels = np.stack(channels, -1).astype(np.uint8)
  return [Image.fromarray(np.roll(pixels, 9 * i, 0)) for i in range(3)]


@pytest.mark.parametrize('python', [True, False])
@pytest.mark.parametrize('mode', ['RGBA', 'RGB'])
@pytest.mark.parametrize('moves', [True, False])
@pytest.mark.parametrize(
  'options', [{'lossless': True}, {'quality': 70, 'icc_profile': b'x' * 301}]
)
def test_every_webp_is_decoded_as_by_pillow(options, moves, mode, python):
  first, *more = (frame.convert(mode) for frame in frames_with_alpha())
  if moves:
    options = {**options, 'save_all': True, 'append_images': more}
  file = io.BytesIO()
  first.save(file, 'WEBP', **options)
  expected = np.asarray(Image.open(file).convert('RGB'))
  data = factory.resolve(digits.get_config()).data
  data.update(image_size=40, eval_crop_mode='short_side', eval_crop_fraction=1)
  decoded = decode.eval_image(tf.constant(file.getvalue()), data, python)
  np.testing.assert_array_equal(decoded, expected[:, 5:45])
  data.train_crop = 'none'
  decoded = decode.train_crop(tf.constant(file.getvalue()), None, data)
  np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize('python', [True, False])
@pytest.mark.parametrize('protocol', ['single', '12_crops'])
def test_a_strip_does_not_grow_beyond_the_largest_image(python, protocol):
  """Resizing 1×n to a shorter side of S would make S²·n pixels of it."""
  config = factory.resolve(digits.get_config())
  config.data.update(image_size=32, eval_crop_mode='short_side')
  config.data.update(eval_protocol=protocol, max_pixels=30_000)

  def shape(height, width):
    file = tf.io.encode_png(np.zeros((height, width, 3), np.uint8))
    if protocol == 'single':
      return decode.eval_image(file, config.data, python).shape
    return decode.eval_canvases(file, config.data)['image'].shape[1:]

  assert shape(10, 150) == shape(16, 1) == (32, 32, 3)
  for size in ((1, 30_000), (30_000, 1), (2, 60)):
    with pytest.raises(tf.errors.InvalidArgumentError, match='larger than'):
      shape(*size)


@pytest.mark.parametrize('mode', ['central', 'short_side', 'squash'])
@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
@pytest.mark.parametrize('shape', [(70, 101), (90, 61), (40, 40), (80, 36)])
def test_evaluation_crops_equal_pillows(mode, interpolation, shape):
  config = factory.resolve(digits.get_config())
  config.data.image_size = size = 32
  config.data.eval_crop_mode = mode
  config.data.eval_crop_fraction = 0.875
  config.data.interpolation = interpolation
  noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
  image = Image.fromarray(noise).resize(shape[::-1], Image.BICUBIC)
  method = {'bilinear': Image.BILINEAR, 'bicubic': Image.BICUBIC}[interpolation]
  width, height = image.size
  if mode == 'squash':
    expected = image.resize((size, size), method)
  elif mode == 'central':
    w, h = round(0.875 * width), round(0.875 * height)
    x, y = (width - w) // 2, (height - h) // 2
    cropped = image.crop((x, y, x + w, y + h))
    expected = cropped.resize((size, size), method)
  else:  # torchvision: Resize(36), CenterCrop(32)
    w, h = (
      (36, int(36 * height / width))
      if width < height
      else (int(36 * width / height), 36)
    )
    x, y = round((w - size) / 2), round((h - size) / 2)
    resized = image.resize((w, h), method)
    expected = resized.crop((x, y, x + size, y + size))
  expected = np.asarray(expected)
  png = tf.io.encode_png(np.asarray(image))
  for given in (tf.convert_to_tensor(np.asarray(image)), png):
    crop = decode.eval_image(given, config.data).numpy()
    np.testing.assert_array_equal(crop, expected)
  crop = decode.eval_image(png, config.data, python=False).numpy().astype(int)
  assert crop.shape == (size, size, 3)
  error = np.abs(crop - expected)
  # Bilinear weights often give halves, which Pillow's integer weights round
  # either way.
  most, mean = {'bilinear': (2, 0.07), 'bicubic': (1, 0.01)}[interpolation]
  assert error.max() <= most
  assert error.mean() < mean


def test_max_pixels_limits_a_jpeg_without_python():
  config = factory.resolve(digits.get_config())
  config.data.max_pixels = 99
  jpeg = tf.io.encode_jpeg(np.zeros((10, 10, 3), np.uint8))
  with pytest.raises(
    tf.errors.InvalidArgumentError, match='10×10 is more than'
  ):
    decode.eval_image(jpeg, config.data, python=False)
  config.data.max_pixels = 100
  decode.eval_image(jpeg, config.data, python=False)


@pytest.mark.parametrize('mode', ['central', 'short_side', 'squash'])
def test_evaluation_decodes_a_jpeg_as_pillow_does(mode):
  config = factory.resolve(digits.get_config())
  config.data.image_size = 64
  config.data.eval_crop_mode = mode
  config.data.eval_crop_fraction = 0.875
  noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
  file = io.BytesIO()
  Image.fromarray(noise).save(file, 'jpeg', quality=95)
  decoded = np.asarray(Image.open(file).convert('RGB'))
  crop, expected = (
    decode.eval_image(tf.constant(x), config.data).numpy().astype(int)
    for x in (file.getvalue(), decoded)
  )
  np.testing.assert_array_equal(crop, expected)


def test_random_crops_differ_between_positions():
  config = factory.resolve(digits.get_config())
  config.data.crop_area = (0.08, 1.0)
  image = tf.constant(np.arange(256, dtype=np.uint8).reshape(16, 16, 1))
  crops = {
    decode.train_image(image, tf.constant([0, p], tf.int64), config.data)
    .numpy()
    .tobytes()
    for p in range(20)
  }
  assert len(crops) > 15


@pytest.mark.parametrize('interpolation', ['opencv_bilinear', 'tf1_bilinear'])
def test_training_with_a_frameworks_resize_decodes_at_full_size(interpolation):
  config = factory.resolve(digits.get_config())
  config.data.update(image_size=32, train_crop='random', channels=3)
  config.data.crop_area = config.data.crop_ratio = (1.0, 1.0)
  config.data.interpolation = interpolation
  jpeg = tf.io.encode_jpeg(np.zeros((200, 200, 3), np.uint8))
  seed = tf.constant([0, 0], tf.int64)
  assert decode.train_crop(jpeg, seed, config.data).shape == (200, 200, 3)


@pytest.mark.parametrize(
  'side, by',
  [(63, 1), (64, 2), (127, 2), (128, 4), (255, 4), (256, 8), (999, 8)],
)
def test_training_decodes_a_large_jpeg_at_a_fraction_of_its_size(side, by):
  config = factory.resolve(digits.get_config())
  config.data.image_size = 32
  config.data.train_crop = 'resized'
  config.data.crop_area = config.data.crop_ratio = (1.0, 1.0)
  config.data.channels = 3
  random = np.random.default_rng(0)
  coarse = random.integers(0, 256, (4, 4, 3), np.uint8)
  photo = np.asarray(Image.fromarray(coarse).resize((side, side)), np.int16)
  photo = (photo + random.integers(-9, 10, photo.shape)).clip(0, 255)
  jpeg = tf.io.encode_jpeg(
    photo.astype(np.uint8), quality=95, chroma_downsampling=False
  )
  seed = tf.constant([0, 0], tf.int64)
  crop = decode.train_crop(jpeg, seed, config.data).numpy()
  assert crop.shape == (side // by, side // by, 3)
  whole = np.asarray(Image.open(io.BytesIO(jpeg.numpy())))
  last = by * (side // by)
  squares = whole[:last, :last].reshape(side // by, by, side // by, by, 3)
  error = crop - squares.mean((1, 3))
  assert np.abs(error).mean() < 1.5
  # At full size, the fast inverse transform is biased.
  assert np.abs(error.mean((0, 1))).max() < (1.5 if by == 1 else 0.5)
  image = decode.train_image(jpeg, seed, config.data).numpy()
  exact = Image.fromarray(whole).resize((32, 32), Image.BILINEAR)
  assert np.abs(image - np.asarray(exact, float)).mean() < 3


@pytest.mark.parametrize('crop', ['resized', 'tensorflow', 'random', 'none'])
def test_jpegs_and_raw_images_are_cut_at_the_same_window(crop):
  config = factory.resolve(digits.get_config())
  config.data.update(image_size=32, train_crop=crop)
  config.data.update(crop_area=(0.3, 1.0), crop_ratio=(0.75, 4 / 3))
  image = np.zeros((50, 60, 3), np.uint8)
  image[..., 0] = 4 * np.arange(50)[:, None]
  image[..., 1] = 4 * np.arange(60)
  jpeg = tf.io.encode_jpeg(image, quality=100, chroma_downsampling=False)
  for position in range(5):
    seed = tf.constant([0, position], tf.int64)
    raw, decoded = (
      decode.train_crop(tf.constant(x), seed, config.data).numpy().astype(int)
      for x in (image, jpeg)
    )
    assert raw.shape == decoded.shape
    assert np.abs(raw - decoded).mean() < 1  # of levels; a pixel is 4
    row, column = raw[0, 0, :2] // 4
    height, width, _ = raw.shape
    whole = image[row : row + height, column : column + width]
    np.testing.assert_array_equal(raw, whole)
    if crop == 'none':
      assert raw.shape == image.shape
      continue
    window = crops.sample(tf.constant((50, 60, 3)), seed, config.data)
    assert np.concatenate(window).tolist() == [row, column, height, width]


def photographs():
  """JPEGs of the kinds that cameras, scanners and editors write."""
  noise = np.random.default_rng(0).integers(0, 256, (6, 8, 4), np.uint8)
  inks = Image.fromarray(noise, 'CMYK').resize((83, 61))
  image = Image.fromarray(noise[..., :3]).resize((83, 61))
  exif = Image.Exif()
  exif[0x0112] = 6
  profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB'))

  def saved(image, **options):
    file = io.BytesIO()
    image.save(file, 'jpeg', quality=90, **options)
    return file.getvalue()

  cmyk = saved(inks)
  adobe = cmyk.index(b'\xff\xee')
  end = adobe + 2 + 256 * cmyk[adobe + 2] + cmyk[adobe + 3]
  return {
    'RGB': saved(image),
    'without subsampling': saved(image, subsampling=0),
    'grey': saved(image.convert('L')),
    'progressive': saved(image, progressive=True),
    'color profile': saved(image, icc_profile=profile.tobytes()),
    'EXIF': saved(image, exif=exif),
    'without YCbCr': saved(image, keep_rgb=True),
    'CMYK': cmyk,
    'YCCK': cmyk[: end - 1] + b'\2' + cmyk[end:],
    'CMYK of others than Adobe': cmyk[:adobe] + cmyk[end:],
    'progressive CMYK': saved(inks, progressive=True, exif=exif),
  }


@pytest.mark.parametrize('exif', ['ignore', 'apply'])
@pytest.mark.parametrize('kind', photographs())
def test_every_kind_of_photograph_is_decoded_as_by_pillow(kind, exif):
  encoded = photographs()[kind]
  expected = Image.open(io.BytesIO(encoded))
  if exif == 'apply':
    expected = ImageOps.exif_transpose(expected)
  expected = np.asarray(expected.convert('RGB'))
  data = factory.resolve(digits.get_config()).data
  data.update(channels=3, image_size=40, exif=exif, eval_crop_fraction=1.0)
  data.update(train_crop='none', eval_crop_mode='squash')
  file = tf.constant(encoded)
  np.testing.assert_array_equal(decode.train_crop(file, None, data), expected)
  squashed = Image.fromarray(expected).resize((40, 40), Image.BILINEAR)
  np.testing.assert_array_equal(decode.eval_image(file, data), squashed)
  data.update(train_crop='resized', crop_area=(0.5, 0.5))
  seed = tf.constant([0, 0], tf.int64)
  row, column, height, width = np.concatenate(
    crops.sample(tf.constant(expected.shape), seed, data)
  )
  window = expected[row : row + height, column : column + width].astype(int)
  crop = decode.train_crop(file, seed, data).numpy()
  # Training decodes with libjpeg's fast transform.
  assert np.abs(crop - window).mean() < 1.5


def noisy_jpeg(**options):
  noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
  file = io.BytesIO()
  image = Image.fromarray(noise).resize((160, 120))
  image.save(file, 'jpeg', quality=90, **options)
  return file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize('exif', ['ignore', 'apply'])
@pytest.mark.parametrize(
  'options', [{}, {'progressive': True}, {'restart_marker_blocks': 8}]
)
def test_a_cut_jpeg_is_bad_in_every_reader(options, exif):
  """As in Pillow, which reads a file to its end."""
  whole = noisy_jpeg(**options)
  half = len(whole) // 2
  video = b'\0\0\0\x18ftypmp42' + np.random.default_rng(1).bytes(100_000)
  cases = {
    'whole': (whole, True),
    'motion photo': (whole + video, True),
    'like a scan': (whole + b'\xff\xda' + video.replace(b'\xff', b''), True),
    'padded': (whole + bytes(500), True),
    'two pictures': (whole + whole, True),
    # libjpeg reports what is missing as a warning, which Pillow ignores.
    'cut with an end': (whole[:half] + b'\xff\xd9', True),
    'without an end': (whole[:-2], False),
    'cut': (whole[:half], False),
    'cut near its end': (whole[:-50], False),
    'cut and padded': (whole[:half] + bytes(half), False),
  }
  data = factory.resolve(digits.get_config()).data
  data.update(channels=3, image_size=16, exif=exif, train_crop='resized')
  data.update(crop_area=(0.01, 0.02), eval_crop_mode='central')
  train = lambda position: (
    lambda x: decode.train_image(x, tf.constant([0, position], tf.int64), data)
  )
  readers = [train(position) for position in range(8)]
  for python in (True, False):
    readers.append(lambda x, python=python: decode.eval_image(x, data, python))
  for name, (encoded, is_good) in cases.items():
    seen = {is_read(read, encoded) for read in readers}
    assert seen == {is_good}, name
    by_pillow = lambda x: Image.open(io.BytesIO(x.numpy())).load()
    if name != 'cut and padded':  # which Pillow may take for a scan
      assert is_read(by_pillow, encoded) == is_good, name


def is_read(read, encoded):
  try:
    read(tf.constant(encoded))
  except (tf.errors.InvalidArgumentError, OSError):
    return False
  return True
