"""Augmentation on the device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from inception_jax import models
from inception_jax.data import augment


@pytest.fixture
def data():
  data = models.resolve(default.get_config()).data
  data.flip = False
  data.mean = (0.0, 0.0, 0.0)
  data.std = (1.0, 1.0, 1.0)
  return data


@pytest.fixture
def images():
  return jax.random.randint(jax.random.key(9), (32, 8, 8, 3), 1, 256).astype(
    jnp.uint8
  )


def test_nothing_on_is_normalisation_alone(data, images):
  data.mean, data.std = (10.0, 20.0, 30.0), (1.0, 2.0, 4.0)
  out = augment.train_images(jax.random.key(0), images, data)
  assert out.dtype == jnp.float32
  expected = (np.float32(images) - [10, 20, 30]) / [1, 2, 4]
  np.testing.assert_allclose(out, expected, rtol=1e-6)
  np.testing.assert_array_equal(out, augment.normalise(images, data))


def test_flips_about_half_and_nothing_else(data, images):
  data.flip = True
  out = augment.train_images(jax.random.key(0), images, data)
  flipped = (out == images[:, :, ::-1]).all((1, 2, 3))
  kept = (out == images).all((1, 2, 3))
  assert (flipped ^ kept).all()
  assert 6 < flipped.sum() < 26


def test_shifts_stay_within_the_padding(data, images):
  data.pad = 2
  out = augment.train_images(jax.random.key(0), images, data)
  padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
  corners = set()
  for image, wide in zip(out, padded, strict=True):
    found = [
      (y, x)
      for y in range(5)
      for x in range(5)
      if (wide[y : y + 8, x : x + 8] == image).all()
    ]
    assert len(found) == 1
    corners.add(found[0])
  assert len(corners) > 10


def test_color_jitter_is_bounded_and_per_image(data, images):
  data.color_jitter = 0.4
  grey = jnp.full((64, 4, 4, 3), 100, jnp.uint8)
  out = augment.train_images(jax.random.key(0), grey, data)
  # Of a constant grey image, only brightness can change anything.
  levels = np.asarray(out[:, 0, 0, 0])
  np.testing.assert_allclose(
    out, np.broadcast_to(levels[:, None, None, None], out.shape), rtol=1e-4
  )
  assert 60 - 1e-3 <= levels.min() < 75
  assert 125 < levels.max() <= 140 + 1e-3
  colourful = augment.train_images(jax.random.key(0), images, data)
  assert 0 <= colourful.min()
  assert colourful.max() <= 255


def test_key_decides(data, images):
  data.pad, data.flip, data.color_jitter = 2, True, 0.4
  first = augment.train_images(jax.random.key(0), images, data)
  again = augment.train_images(jax.random.key(0), images, data)
  other = augment.train_images(jax.random.key(1), images, data)
  np.testing.assert_array_equal(first, again)
  assert (first != other).any()
