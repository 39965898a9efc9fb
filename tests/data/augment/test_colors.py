"""Changes of colors, against TensorFlow's operations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from configs import default
from inception_jax.data.augment import colors

KEY = jax.random.key(0)


@pytest.fixture
def data():
  return default.get_config().data


@pytest.fixture
def images():
  return jax.random.randint(jax.random.key(9), (32, 8, 8, 3), 0, 256).astype(
    jnp.uint8
  )


def test_jitter_is_bounded_and_per_image(data, images):
  data.color_jitter = (0.4, 0.4, 0.4, 0.0)
  grey = jnp.full((64, 4, 4, 3), 100, jnp.uint8)
  out = colors.jitter(KEY, grey, data)
  # Only brightness can change a constant grey image.
  levels = np.asarray(out[:, 0, 0, 0])
  np.testing.assert_allclose(
    out, np.broadcast_to(levels[:, None, None, None], out.shape), rtol=1e-4
  )
  assert 60 - 1e-3 <= levels.min() < 75
  assert 125 < levels.max() <= 140 + 1e-3
  colorful = colors.jitter(KEY, images, data)
  assert 0 <= colorful.min()
  assert colorful.max() <= 255


def test_hue_changes_colors_and_keeps_greys(data):
  data.color_jitter = (0.0, 0.0, 0.0, 0.5)
  red = jnp.zeros((64, 2, 2, 3), jnp.uint8).at[..., 0].set(200)
  out = np.asarray(colors.jitter(KEY, red, data))
  # Saturation and value are unchanged.
  np.testing.assert_allclose(out.max(-1), 200, rtol=1e-4)
  np.testing.assert_allclose(out.min(-1), 0, atol=1e-3)
  assert set(out[:, 0, 0].argmax(-1)) == {0, 1, 2}
  grey = jnp.full((8, 2, 2, 3), 90, jnp.uint8)
  np.testing.assert_allclose(colors.jitter(KEY, grey, data), 90, rtol=1e-4)


def test_brightness_shifts_by_a_fraction_of_white(data):
  data.brightness_shift = 0.1
  grey = jnp.full((64, 2, 2, 3), 100, jnp.uint8)
  levels = np.asarray(colors.jitter(KEY, grey, data))[:, 0, 0, 0]
  assert 74.5 <= levels.min() < 80 and 120 < levels.max() <= 125.5


def test_saturation_is_tensorflows():
  # Brightness may have moved pixels out of the range.
  x = jax.random.uniform(KEY, (8, 16, 16, 3), minval=-0.2, maxval=1.2)
  x = x.at[:, 0].set(0).at[:, 1].set(0.5).at[:, 2].set(-0.1)
  for factor in (0.0, 0.5, 1.0, 1.3, 1.5):
    expected = tf.image.adjust_saturation(np.asarray(x), factor)
    scaled = colors.scale_saturation(255 * x, factor) / 255
    np.testing.assert_allclose(scaled, expected, atol=2e-6)


def uniform(draws, limit):
  """Whether draws have the range, mean and deviation of ± limit."""
  deviation = limit / 3**0.5
  assert np.abs(draws).max() <= limit * 1.001
  assert np.abs(draws).max() > 0.98 * limit
  assert abs(draws.mean()) < 0.1 * deviation
  assert abs(draws.std() / deviation - 1) < 0.05
  return True


def test_tpu_is_brightness_then_chroma_and_one_clip(data, images):
  data.color_distortion = 'tpu'
  # No offset leaves the range: they tell the draws of Y, Cb and Cr.
  middle = colors.distort(KEY, jnp.full((2048, 1, 1, 3), 128.0), data)
  offsets = (np.asarray(middle, np.float64)[:, 0, 0] - 128) / 255
  to_rgb = [[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]]
  y, cb, cr = np.linalg.solve(to_rgb, offsets.T)
  assert uniform(y, 32 / 255) and uniform(cb, 0.1) and uniform(cr, 0.1)
  assert np.abs(np.corrcoef([y, cb, cr]) - np.eye(3)).max() < 0.06
  # The same key has the same draws for other images of as large a batch.
  many = jnp.tile(images, (64, 1, 1, 1))
  out = colors.distort(KEY, many, data)
  image = tf.cast(np.asarray(many), tf.float32) / 255
  image += tf.cast(offsets[:, None, None], tf.float32)
  expected = 255 * tf.clip_by_value(image, 0.0, 1.0)
  np.testing.assert_allclose(out, expected, atol=1e-3)


@pytest.mark.slow
def test_slim_is_brightness_and_saturation_in_either_order(data):
  data.color_distortion, count = 'slim', 1024
  run = lambda image: np.asarray(
    colors.distort(KEY, jnp.tile(255 * image, (count, 1, 1, 1)), data) / 255
  )
  # Colors that nothing clips tell the draws: both orders give the same.
  image = np.float32([[[0.5, 0.5, 0.5], [0.45, 0.5, 0.55]]])
  grey, color = np.moveaxis(run(image), 2, 0)[:, :, 0]
  shift, factor = grey[:, 0] - 0.5, np.ptp(color, axis=-1) / 0.1
  assert uniform(shift, 32 / 255) and uniform(factor - 1, 0.5)
  # On others, the source's operations in the one or in the other order.
  image = np.float32([[[0.0, 0.3, 0.6], [0.95, 0.1, 0.05], [0.01, 0.01, 0.1]]])
  brightness, saturation = (
    tf.image.adjust_brightness,
    tf.image.adjust_saturation,
  )
  is_first = []
  for out, delta, scale in zip(run(image), shift, factor, strict=True):
    first = saturation(brightness(image, delta), scale)
    last = brightness(saturation(image, scale), delta)
    first, last = (np.clip(x, 0, 1) for x in (first, last))
    errors = np.abs(first - out).max(), np.abs(last - out).max()
    assert min(errors) < 1e-5
    if max(errors) > 1e-3:
      is_first.append(errors[0] < errors[1])
  assert len(is_first) > count / 4
  assert abs(np.mean(is_first) - 0.25) < 0.06


@pytest.mark.parametrize('name', colors.DISTORTIONS)
def test_grey_images_change_in_brightness_alone(data, name):
  data.color_distortion = name
  grey = jnp.full((2048, 4, 4, 1), 128, jnp.uint8)
  out = np.asarray(colors.distort(KEY, grey, data))
  assert out.shape == grey.shape and out.dtype == np.float32
  assert (np.ptp(out, axis=(1, 2, 3)) == 0).all()
  assert uniform((out[:, 0, 0, 0] - 128) / 255, 32 / 255)
