"""JPEGs are bad or good whatever part of them a crop needs."""

import io

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from configs import digits
from inception_jax.data import decode
from inception_jax.models import factory


@pytest.fixture(scope='module')
def data():
  return factory.resolve(digits.get_config()).data


def encoded(**options):
  pixels = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)
  image = Image.fromarray(pixels).resize((90, 120))
  file = io.BytesIO()
  image.save(file, 'JPEG', **options)
  return file.getvalue()


def inserted(content, at, marker):
  """Puts a marker into the only scan, at a fraction of it."""
  begin = content.rindex(b'\xff\xda') + 14
  at = begin + int(at * (len(content) - begin))
  at += content[at - 1] == 255  # not within another one
  return content[:at] + marker + content[at:]


def decodes(function, *args):
  try:
    function(*args)
  except tf.errors.InvalidArgumentError:
    return False
  return True


# A table too short for its own length is an error; not a comment, and those of
# the end, of a restart, and of data: the decoder fills up what is missing.
@pytest.mark.parametrize(
  ('marker', 'is_good'),
  [
    (b'\xff\xc4\0\0', False),
    (b'\xff\xe1\0\0', True),
    (b'\xff\xd9', True),
    (b'\xff\xd3', True),
    (b'\xff\xff\0', True),
  ],
)
@pytest.mark.parametrize('at', [0.2, 0.9])
def test_a_marker_within_is_the_same_for_every_crop(data, marker, is_good, at):
  content = tf.constant(inserted(encoded(), at, marker))
  found = {
    decodes(decode.train_image, content, tf.constant([0, i], tf.int64), data)
    for i in range(20)
  }
  found.add(decodes(decode.eval_image, content, data))
  assert found == {is_good}


@pytest.mark.parametrize(
  'options', [{}, {'progressive': True}, {'restart_marker_rows': 1}]
)
@pytest.mark.parametrize('rest', [b'', b'\0' * 9, b'\xff\xe1\0\0 a video'])
def test_a_whole_file_is_decoded_once(data, options, rest, monkeypatch):
  monkeypatch.setattr(decode, '_undamaged', lambda file: tf.constant(b''))
  content = tf.constant(encoded(**options) + rest)
  seed = tf.constant([0, 1], tf.int64)
  assert decode.train_image(content, seed, data).shape == (16, 16, 3)
