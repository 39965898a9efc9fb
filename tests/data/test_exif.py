"""EXIF orientation, against Pillow's `ImageOps.exif_transpose`."""

import io
import struct

import numpy as np
from PIL import Image
from PIL import ImageOps
import pytest
import tensorflow as tf

from configs import digits
from inception_jax.data import decode
from inception_jax.data import exif
from inception_jax.models import factory

TURNS = range(1, 9)


@pytest.fixture
def data():
  data = factory.resolve(digits.get_config()).data
  data.update(image_size=16, eval_crop_mode='squash', exif='apply')
  return data


def photograph(turn):
  """A smooth JPEG of 64×48 without symmetries, to be turned."""
  y, x = np.mgrid[:48, :64]
  pixels = np.stack([x * 3, y * 4, x + y], -1).astype(np.uint8)
  data = Image.Exif()
  # Entries before and after it, and a thumbnail's worth of text.
  data[0x010F], data[0x0112], data[0x0131] = 'maker', turn, 'x' * 999
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, 'JPEG', quality=95, exif=data)
  return file.getvalue()


def upright(encoded):
  return ImageOps.exif_transpose(Image.open(io.BytesIO(encoded)))


@pytest.mark.slow
@pytest.mark.parametrize('python', [True, False])
def test_evaluation_sees_upright_images(data, python):
  read = tf.function(lambda x: decode.eval_image(x, data, python))
  seen = []
  for turn in TURNS:
    encoded = photograph(turn)
    shrunk = upright(encoded).resize((16, 16), Image.Resampling.BILINEAR)
    found = read(tf.constant(encoded)).numpy()
    assert np.abs(found.astype(int) - np.asarray(shrunk)).max() <= 1, turn
    seen.append(found.tobytes())
  assert len(set(seen)) == len(TURNS)
  data.exif = 'ignore'
  for turn in TURNS:
    found = decode.eval_image(tf.constant(photograph(turn)), data, python)
    assert found.numpy().tobytes() == seen[0]


def test_training_crops_are_those_of_the_upright_image(data, monkeypatch):
  window = tf.constant([5, 9]), tf.constant([30, 20])
  shapes = []

  def sample(shape, *_):
    shapes.append(tuple(shape.numpy()[:2]))
    return window

  monkeypatch.setattr(decode.crops, 'sample', sample)
  data.update(train_crop='resized', interpolation='opencv_bilinear')
  for turn in TURNS:
    encoded = photograph(turn)
    whole = np.asarray(upright(encoded))
    crop = decode.train_crop(tf.constant(encoded), tf.constant([0, 0]), data)
    assert shapes.pop() == whole.shape[:2]
    # libjpeg decodes a window with other pixels at its edge.
    difference = np.abs(crop.numpy().astype(int) - whole[5:35, 9:29])
    assert difference[2:-2, 2:-2].max() <= 4, turn
  # Decoded at half the size.
  data.update(interpolation='bilinear', image_size=10)
  for turn in TURNS:
    crop = decode.train_crop(
      tf.constant(photograph(turn)), tf.constant([0, 0]), data
    )
    whole = np.asarray(upright(photograph(turn)))[5:35, 9:29]
    means = [x.mean((0, 1)) for x in (crop.numpy(), whole)]
    assert crop.shape == (15, 10, 3)
    np.testing.assert_allclose(*means, atol=4, err_msg=str(turn))


def tiff(order, turn, kind=3, count=1, start=8, tag=0x0112):
  head = b'II*\0' if order == '<' else b'MM\0*'
  value = struct.pack(f'{order}HH', turn, 0)
  entry = struct.pack(order + 'HHI', tag, kind, 1) + value
  return head + struct.pack(order + 'IH', start, count) + entry


@pytest.mark.parametrize(
  ('content', 'expected'),
  [
    (tiff('<', 6), 6),
    (tiff('>', 6), 6),
    (tiff('>', 0), 1),
    (tiff('<', 9), 1),
    (tiff('<', 6, tag=0x0113), 1),
    (tiff('<', 6, kind=4), 1),
    (tiff('<', 6, count=0), 1),
    (tiff('<', 6, count=65535), 6),
    (tiff('<', 6, start=2**32 - 1), 1),
    (tiff('>', 6, start=2**31), 1),
    (tiff('<', 6)[:-5], 1),
    (tiff('<', 6)[:7], 1),
    (b'', 1),
  ],
)
def test_any_exif_data_has_an_orientation(content, expected):
  plain = photograph(1)
  start = plain.index(b'\xff\xe1')
  length = struct.unpack('>H', plain[start + 2 : start + 4])[0]
  segment = b'Exif\0\0' + content
  segment = b'\xff\xe1' + struct.pack('>H', len(segment) + 2) + segment
  encoded = plain[:start] + segment + plain[start + 2 + length :]
  assert int(exif.orientation(tf.constant(encoded))) == expected


@pytest.mark.parametrize('encoded', [b'', b'\xff\xd8', b'Exif\0\0'])
def test_what_is_no_jpeg_is_not_turned(encoded):
  assert int(exif.orientation(tf.constant(encoded))) == 1
