"""Images that a program prepares have the pixels of an evaluation."""

import dataclasses
import io

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

import inception_jax
from inception_jax.data import pipeline
from inception_jax.data.augment import transforms
from inception_jax.data.sources import folder
from inception_jax.errors import UserError
from inception_jax.models import card as card_lib
from inception_jax.models import factory
from tests.support import hostile_images

CARD = inception_jax.Card(input_size=19, mean=(120.0, 110.0, 100.0))
CARDS = (
  CARD,
  dataclasses.replace(CARD, crop_mode='short_side', interpolation='bicubic'),
  dataclasses.replace(
    CARD, crop_mode='mindspore_short_side', interpolation='opencv_bilinear'
  ),
  dataclasses.replace(CARD, crop_mode='tf_central', interpolation='area'),
  dataclasses.replace(CARD, crop_mode='squash', interpolation='nearest'),
  dataclasses.replace(CARD, exif='apply', background='#102030'),
  dataclasses.replace(CARD, mean=(120.0,), std=(60.0,)),
)


@pytest.fixture(scope='module')
def paths(tmp_path_factory):
  """Files of several formats and sizes, one to be turned, one transparent."""
  root = tmp_path_factory.mktemp('images')
  turned = Image.Exif()
  turned[0x0112] = 6
  files = {
    'turned.jpg': hostile_images.picture('jpeg', exif=turned),
    'wide.png': hostile_images.picture('png', 90, 31),
    'transparent.png': hostile_images.picture('png', 40, 70, 'LA'),
    'high.webp': hostile_images.picture('webp', 33, 80, lossless=True),
    'scan.tiff': hostile_images.picture('tiff', 64, 48),
  }
  for name, content in files.items():
    (root / name).write_bytes(content)
  return [root / name for name in files]


def evaluated(paths, card):
  """Returns what an evaluation passes to the network."""
  data = card_lib.to_config(card)
  data.update({'eval_protocol': 'single', 'source': 'folder', 'workers': 0})
  data.max_bad_fraction = 0.0
  split = folder.of_files([*map(str, paths)], [0] * len(paths), ['only'])
  size = len(paths)
  (batch,) = pipeline.eval_batches(split, data, size, range(size))
  assert batch['mask'].all()
  return jax.jit(lambda x: transforms.normalize(x, data))(batch['image'])


@pytest.mark.slow
@pytest.mark.parametrize('card', CARDS, ids=range(len(CARDS)))
def test_pixels_are_those_of_an_evaluation(paths, card):
  expected = np.asarray(evaluated(paths, card))
  prepared = card.preprocess(paths)
  assert type(prepared) is np.ndarray and prepared.dtype == np.float32
  assert prepared.shape == (len(paths), *card.image_shape)
  np.testing.assert_array_equal(prepared, expected)
  encoded = [path.read_bytes() for path in paths]
  np.testing.assert_array_equal(card.preprocess(encoded), expected)
  opened = [Image.open(io.BytesIO(content)) for content in encoded]
  np.testing.assert_array_equal(card.preprocess(opened), expected)
  for path, content, row in zip(paths, encoded, expected, strict=True):
    for image in (path, str(path), content):
      np.testing.assert_array_equal(card.preprocess(image), row[None])


@pytest.mark.parametrize('card', CARDS[:5], ids=range(5))
def test_arrays_are_images_alone_or_in_a_batch(paths, card):
  png = next(path for path in paths if path.name == 'wide.png')
  pixels = np.asarray(Image.open(png))
  expected = card.preprocess(png)
  np.testing.assert_array_equal(card.preprocess(pixels), expected)
  batch = np.stack([pixels[:, ::-1], pixels])
  prepared = card.preprocess(batch)
  np.testing.assert_array_equal(prepared[1:], expected)
  assert np.any(prepared[0] != prepared[1])
  np.testing.assert_array_equal(card.preprocess([*batch]), prepared)
  np.testing.assert_array_equal(card.preprocess(jnp.asarray(batch)), prepared)


def test_grey_pixels_are_repeated_for_a_network_of_colors():
  grey = np.random.default_rng(0).integers(0, 256, (30, 40, 1), np.uint8)
  colors = np.repeat(grey, 3, -1)
  np.testing.assert_array_equal(CARD.preprocess(grey), CARD.preprocess(colors))


def test_hostile_files_are_refused_a_line_each(tmp_path):
  paths = []
  for i, (file, *_) in enumerate(hostile_images.too_large().values()):
    paths.append(tmp_path / f'{i}.image')
    paths[-1].write_bytes(file)
  with pytest.raises(UserError) as caught:
    CARD.preprocess(paths)
  assert len(caught.value.faults) == len(paths)
  for path, fault in zip(paths, caught.value.faults, strict=True):
    assert fault.startswith(f'{path}: ')
    with pytest.raises(UserError, match=r'^image: '):
      CARD.preprocess(path.read_bytes())


def test_an_image_of_pillow_is_not_decoded_if_it_is_too_large():
  # A bitmap of one color, 25 kB of 200 million pixels.
  Image.MAX_IMAGE_PIXELS, before = None, Image.MAX_IMAGE_PIXELS
  try:
    file = io.BytesIO()
    Image.new('1', (20_000, 10_000)).save(file, 'png')
    with Image.open(file) as image:
      with pytest.raises(UserError, match='20000×10000 is more'):
        CARD.preprocess(image)
      assert image._im is None
  finally:
    Image.MAX_IMAGE_PIXELS = before


@pytest.mark.parametrize(
  'images, fault',
  [
    ([], 'there are no images'),
    ('nothing.jpg', 'nothing.jpg: No such file'),
    ('/', '/: a folder, not a file'),
    ('/dev/zero', '/dev/zero: not a regular file'),
    ('https://localhost/cat.jpg', 'cat.jpg: No such file'),
    (b'', 'image: unknown image format'),
    (None, 'image: NoneType, expected a path'),
    ([b'\xff\xd8\xff', 3], 'image 1: int, expected a path'),
    (np.zeros((9, 9, 3), np.float32), 'image: float32 values, expected uint8'),
    (np.zeros((9, 9), np.uint8), r'shape \[9, 9\], expected \[H, W, 3\]'),
    (np.zeros((0, 9, 3), np.uint8), r'shape \[0, 9, 3\]'),
    (np.zeros((2, 9, 9, 2), np.uint8), r'image 1: .* shape \[9, 9, 2\]'),
  ],
)
def test_what_is_no_image_is_named(images, fault):
  with pytest.raises(UserError, match=fault):
    CARD.preprocess(images)


def test_networks_have_the_card_of_their_weights(tiny):
  assert inception_jax.create_model('inception_v3').card == inception_jax.Card()
  own = dataclasses.replace(CARD, crop_mode='squash')
  model = inception_jax.create_model('inception_v3', num_classes=0, card=own)
  assert model.card == own
  tiny.data.eval_crop_mode = 'tf_central'
  built = factory.build(tiny, 10)
  assert built.card == card_lib.from_config(tiny.data)
  assert built.card.crop_mode == 'tf_central'
