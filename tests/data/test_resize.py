"""Resizing, against plain numpy, Pillow and TensorFlow."""

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from configs import digits
from inception_jax.data import decode
from inception_jax.models import factory
from tests.parity import pixels


def test_nearest_copies_pixels():
  config = factory.resolve(digits.get_config())
  config.data.image_size, config.data.channels = 8, 3
  config.data.interpolation = 'nearest'
  config.data.eval_crop_mode = 'squash'
  image = np.random.default_rng(0).integers(0, 256, (24, 4, 3), np.uint8)
  resized = decode.eval_image(tf.constant(image), config.data)
  np.testing.assert_array_equal(resized, image[1::3].repeat(2, axis=1))


@pytest.mark.parametrize('side', [20, 48, 64, 65, 90])
def test_training_antialiases_only_above_twice_the_size(side):
  config = factory.resolve(digits.get_config())
  config.data.image_size = size = 32
  config.data.train_crop = 'none'
  config.data.interpolation = 'bilinear'
  noise = np.random.default_rng(0).integers(0, 256, (side, 40, 3), np.uint8)
  out = decode.train_image(tf.constant(noise), None, config.data)
  plain = tf.image.resize(noise, (size, size))
  if side <= 2 * size:
    np.testing.assert_array_equal(out, np.floor(plain + np.float32(0.5)))
  else:
    image = Image.fromarray(noise).resize((size, size), Image.BILINEAR)
    np.testing.assert_array_equal(out, np.asarray(image))
    assert np.abs(plain - np.asarray(image)).max() > 20


@pytest.mark.parametrize('case', [1, 4])  # larger, to a sixth
def test_training_resizes_as_opencv_at_every_size(case):
  shape, (size, _) = pixels.RESIZES[case]
  config = factory.resolve(digits.get_config())
  config.data.update(image_size=size, channels=3, train_crop='none')
  config.data.interpolation = 'opencv_bilinear'
  image = tf.constant(pixels.image(*shape))
  with pixels.golden('opencv') as golden:
    out = decode.train_image(image, None, config.data)
    np.testing.assert_array_equal(out, golden[f'image_{case}'])


def test_tensorflow_1_reads_pixels_at_multiples_of_the_step():
  config = factory.resolve(digits.get_config())
  config.data.update(image_size=8, channels=3, train_crop='none')
  config.data.update(interpolation='tf1_bilinear', eval_crop_mode='squash')
  image = np.random.default_rng(0).integers(0, 256, (24, 4, 3), np.uint8)
  rows = image[::3].astype(int)
  between = (rows + np.concatenate([rows[:, 1:], rows[:, 3:]], 1) + 1) // 2
  expected = np.stack([rows, between], 2).reshape(8, 8, 3)
  for resized in (
    decode.eval_image(tf.constant(image), config.data),
    decode.train_image(tf.constant(image), None, config.data),
  ):
    np.testing.assert_array_equal(resized, expected)
