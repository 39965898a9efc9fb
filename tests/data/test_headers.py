"""Files that ask much of a decoder are refused before it is called."""

import io

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from configs import digits
from inception_jax.data import decode
from inception_jax.data import pipeline
from inception_jax.data.bad_images import BadImages
from inception_jax.data.sources import registry
from inception_jax.models import factory
from tests.support import hostile_images as hostile
from tests.support.commands import run
from tests.support.image_folders import config_of

LIMIT = 10_000
SEED = (0, 0)
# As evaluation, prepare and predict, as a SavedModel, and as training read.
READERS = {
  'evaluation': decode.eval_image,
  'served': lambda image, data: decode.eval_image(image, data, python=False),
  'training': lambda image, data: decode.train_image(
    image, tf.constant(SEED, tf.int64), data
  ),
}
TOO_LARGE = f'101×100 is more than data.max_pixels={LIMIT}'
REFUSED = {
  'JPEG': (hostile.plain('jpeg', 101, 100), TOO_LARGE),
  'PNG': (hostile.plain('png', 101, 100), TOO_LARGE),
  'BMP': (hostile.plain('bmp', 101, 100), TOO_LARGE),
  'lossy WebP': (hostile.plain('webp', 101, 100), TOO_LARGE),
  'lossless WebP': (hostile.plain('webp', 101, 100, lossless=True), TOO_LARGE),
  'canvas of a WebP': (hostile.webp_with_canvas(101, 100), TOO_LARGE),
  'MPO': (hostile.picture('mpo', 101, 100, save_all=True), TOO_LARGE),
  'GIF': (hostile.gif_of_frames(1, 101, 100), TOO_LARGE),
  'frames of a GIF': (hostile.gif_of_frames(3, 101, 100), TOO_LARGE),
  'BMP from the top': (hostile.bmp(101, -100), TOO_LARGE),
  'BMP of negative width': (
    hostile.bmp(-1, 1),
    f'4294967295×1 is more than data.max_pixels={LIMIT}',
  ),
  'RLE BMP': (hostile.bmp(101, 100, 8, 1, b'\0\2\0\xff\0\1'), TOO_LARGE),
  'scans': (
    hostile.jpeg_of_scans(900, 40, 30),
    '905 scans of 40×30 are more work than 100 of data.max_pixels=10000',
  ),
  'blocks of a GIF': (
    hostile.gif_of_blocks(2**14),
    'a GIF in so many blocks is not supported',
  ),
  'texts': (
    hostile.png_with_texts(17, 100),
    'a PNG with more than 16 compressed texts is not supported',
  ),
  'PNG of two sizes': (
    hostile.png_with_two_sizes(101, 100),
    'unknown image format',
  ),
  'cut animated WebP': (
    hostile.moving('webp')[:90],
    'an animated WebP must begin with a frame',
  ),
  'HEIC': (
    b'\0\0\0\x18ftypheic' + bytes(40),
    'HEIC is not read: convert it to JPEG',
  ),
}


@pytest.fixture
def data():
  config = factory.resolve(digits.get_config())
  config.data.max_pixels = LIMIT
  config.data.channels = 3
  return config.data


def in_graph(reader, data):
  """Returns a function of the bytes of an image."""
  return tf.function(
    lambda image: READERS[reader](image, data),
    input_signature=[tf.TensorSpec((), tf.string)],
    autograph=False,
  )


@pytest.fixture
def no_decoder(monkeypatch):
  """Lets no decoder be called outside of a graph."""

  def forbidden(*args, **kwargs):
    raise AssertionError('a decoder was called')

  for name in ('decode_image', 'decode_jpeg', 'decode_and_crop_jpeg'):
    monkeypatch.setattr(tf.io, name, forbidden)
  monkeypatch.setattr(Image, 'open', forbidden)


@pytest.mark.slow
@pytest.mark.parametrize('reader', READERS)
def test_refused_before_a_decoder_is_called(reader, data, no_decoder):
  for name, (image, reason) in REFUSED.items():
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
      READERS[reader](tf.constant(image), data)
    assert reason in str(raised.value), name


@pytest.mark.slow
@pytest.mark.parametrize('reader', READERS)
def test_refused_in_a_graph(reader, data):
  read = in_graph(reader, data)
  for name, (image, reason) in REFUSED.items():
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
      read(image)
    assert reason in str(raised.value), name


@pytest.mark.slow
def test_refused_images_are_named(tmp_path):
  folder = tmp_path / 'val' / 'x'
  folder.mkdir(parents=True)
  for name, (image, _) in REFUSED.items():
    (folder / f'{name}.png').write_bytes(image)
    (folder / f'{name}.png.gif').write_bytes(hostile.moving('gif'))
  config = config_of(tmp_path, max_bad_fraction=1.0, max_pixels=LIMIT)
  split = registry.load(config, 'validation')
  bad = BadImages(split, config.data)
  batches = list(pipeline.eval_batches(split, config.data, 8, range(8), bad))
  assert sum(batch['mask'].sum() for batch in batches) == len(REFUSED)
  reasons = dict(line.split('.png: ') for line in bad.lines)
  assert len(reasons) == len(REFUSED)
  for name, (_, reason) in REFUSED.items():
    assert reasons[str(folder / name)] == reason


def pillow(image):
  return np.asarray(Image.open(io.BytesIO(image)).convert('RGB'))


@pytest.mark.parametrize('reader', READERS)
def test_only_the_first_frame_is_decoded(reader, data, monkeypatch):
  data.train_crop = 'none'
  data.eval_crop_mode = 'squash'
  seen = []
  decoder = tf.io.decode_image

  def recorded(contents, **kwargs):
    seen.append(contents.numpy())
    return decoder(contents, **kwargs)

  monkeypatch.setattr(tf.io, 'decode_image', recorded)
  frames = {
    'gif': (hostile.moving('gif'), hostile.picture('gif')),
    'gif of many': (
      hostile.gif_of_frames(400, 40, 30),
      hostile.gif_of_frames(1, 40, 30),
    ),
    'gif with a comment': (
      hostile.moving('gif', comment=b'c' * 600),
      hostile.picture('gif', comment=b'c' * 600),
    ),
    'png': (hostile.moving('png'), hostile.picture('png')),
    'webp': [
      make('webp', lossless=True) for make in (hostile.moving, hostile.picture)
    ],
    'mpo': (hostile.moving('mpo'), hostile.picture('jpeg')),
  }
  for name, (several, one) in frames.items():
    images = [READERS[reader](tf.constant(x), data) for x in (several, one)]
    np.testing.assert_array_equal(*images, err_msg=name)
  monkeypatch.undo()
  read = in_graph(reader, data)
  for name, (several, one) in frames.items():
    images = read(several), READERS[reader](tf.constant(one), data)
    np.testing.assert_array_equal(*images, err_msg=name)
  gifs = [x for x in seen if isinstance(x, bytes) and x[:3] == b'GIF']
  assert len(gifs) == 6
  assert all(Image.open(io.BytesIO(x)).n_frames == 1 for x in gifs)


@pytest.mark.parametrize('reader', ['evaluation', 'training'])
def test_bmps_are_decoded_as_by_pillow(reader, data):
  data.image_size = 30
  data.train_crop = 'none'
  data.eval_crop_mode = 'squash'
  rle = b'\x1e\x05\0\0' * 30 + b'\0\1'
  palette = bytes(range(256)) * 4
  for image in (
    hostile.picture('bmp', 30, 30, mode='P'),
    hostile.bmp_of_os2(30, 30),
    hostile.bmp(30, 30, 8, 1, palette + rle),
  ):
    seen = READERS[reader](tf.constant(image), data).numpy()
    np.testing.assert_array_equal(seen, pillow(image))


def test_ordinary_progressive_photos_are_decoded(data):
  image = hostile.picture('jpeg', 100, 100, progressive=True)
  image += b'\xff\xda' * 80  # as in a video that follows a moving photo
  data.eval_crop_mode = 'squash'
  for reader in READERS:
    READERS[reader](tf.constant(image), data)


def test_two_headers_of_a_jpeg(data):
  image = hostile.jpeg_of_two_sizes(30_000, 30_000)
  for reader in READERS:
    with pytest.raises(tf.errors.InvalidArgumentError):
      READERS[reader](tf.constant(image), data)


def mutations(rng):
  """Yields (name, damaged file) without end."""
  seeds = [
    *(hostile.picture(kind) for kind in ('jpeg', 'png', 'bmp', 'gif', 'webp')),
    *(hostile.moving(kind) for kind in ('gif', 'png', 'mpo', 'webp')),
    hostile.picture('jpeg', progressive=True),
    hostile.picture('webp', lossless=True),
    hostile.webp_with_canvas(40, 30),
    *(hostile.picture(kind) for kind in ('tiff', 'jpeg2000', 'avif')),
    hostile.bmp_of_os2(40, 30),
    hostile.bmp(40, 30, 8, 1, bytes(1024) + b'\x28\x05\0\0' * 30 + b'\0\1'),
  ]
  while True:
    image = bytearray(seeds[rng.integers(len(seeds))])
    for _ in range(rng.integers(1, 5)):
      # Most often in the first 64 bytes, where the sizes are.
      end = len(image) if rng.random() < 0.3 else min(64, len(image))
      at = int(rng.integers(end))
      choice = rng.integers(4)
      if choice == 0:
        image[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
      elif choice == 1:
        image[at] ^= 1 << int(rng.integers(8))
      elif choice == 2:
        image[at:at] = image[at : at + int(rng.integers(1, 40))]
      else:
        del image[at : at + int(rng.integers(1, 9))]
    yield bytes(image)


@pytest.mark.slow
@pytest.mark.parametrize('python', [True, False])
def test_nothing_larger_than_the_limit_is_decoded(data, python):
  data.max_pixels = 40 * 30
  read = tf.function(
    lambda image: decode._decode(image, data, python),
    input_signature=[tf.TensorSpec((), tf.string)],
    autograph=False,
  )
  decoded = 0
  stream = mutations(np.random.default_rng(0))
  for _, image in zip(range(1500), stream, strict=False):
    try:
      pixels = read(tf.constant(image))
    except tf.errors.OpError:
      continue
    assert pixels.shape[0] * pixels.shape[1] <= data.max_pixels
    decoded += 1
  assert 100 < decoded < 1400


MEMORY = """
import pathlib
import sys
from inception_jax.data import image_files
from tests.data import test_headers as t

def growth(image):
  with open(sys.argv[1], 'wb') as file:
    file.write(image)
  calls = [lambda: image_files.read(sys.argv[1], data)]
  calls += [lambda r=r: t.in_graph(r, data)(image) for r in t.READERS]
  pathlib.Path('/proc/self/clear_refs').write_text('5')  # resets the peak
  before = peak()
  for call in calls:
    try:
      call()
    except Exception:  # each decoder raises its own
      pass
  return peak() - before

def peak():
  status = pathlib.Path('/proc/self/status').read_text().split()
  return int(status[status.index('VmHWM:') + 1]) // 1000

data = t.factory.resolve(t.digits.get_config()).data
data.channels = 3
growth(t.hostile.gif_of_frames(2, 1000, 1000))
growth(t.hostile.png_with_texts(1, 100))
gif = growth(t.hostile.gif_of_frames(400, 1000, 1000))
png = growth(t.hostile.png_with_texts(60, 7_999_000))
print(gif, png)
"""


@pytest.mark.slow
def test_bombs_take_little_memory(tmp_path):
  done = run(str(tmp_path / 'bomb.png'), program=('-c', MEMORY))
  assert done.returncode == 0, done.stderr
  # Unchecked, each takes more than 400 MB.
  assert max(map(int, done.stdout.split())) < 100, done.stdout
