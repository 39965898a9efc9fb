"""Augmentation on the device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from inception_jax.data.augment import transforms
from inception_jax.models import factory


@pytest.fixture
def data():
  data = factory.resolve(default.get_config()).data
  data.flip = False
  data.mean = (0.0, 0.0, 0.0)
  data.std = (1.0, 1.0, 1.0)
  return data


def augmented(images, data, key=0):
  """The images alone, of a batch whose labels are 0, 1, 2, …"""
  return both(images, data, key)[0]


def both(images, data, key=0):
  batch = {'image': images, 'label': jnp.arange(len(images))}
  return transforms.train_batch(jax.random.key(key), batch, data, len(images))


@pytest.fixture
def images():
  return jax.random.randint(jax.random.key(9), (32, 8, 8, 3), 1, 256).astype(
    jnp.uint8
  )


def test_nothing_on_is_normalisation_alone(data, images):
  data.mean, data.std = (10.0, 20.0, 30.0), (1.0, 2.0, 4.0)
  out = augmented(images, data)
  assert out.dtype == jnp.float32
  expected = (np.float32(images) - [10, 20, 30]) / [1, 2, 4]
  np.testing.assert_allclose(out, expected, rtol=1e-6)
  np.testing.assert_array_equal(out, transforms.normalise(images, data))


def test_flips_about_half_and_nothing_else(data, images):
  data.flip = True
  out = augmented(images, data)
  flipped = (out == images[:, :, ::-1]).all((1, 2, 3))
  kept = (out == images).all((1, 2, 3))
  assert (flipped ^ kept).all()
  assert 6 < flipped.sum() < 26


def test_shifts_stay_within_the_padding(data, images):
  data.pad = 2
  out = augmented(images, data)
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
  data.color_jitter = (0.4, 0.4, 0.4, 0.0)
  grey = jnp.full((64, 4, 4, 3), 100, jnp.uint8)
  out = augmented(grey, data)
  # Of a constant grey image, only brightness can change anything.
  levels = np.asarray(out[:, 0, 0, 0])
  np.testing.assert_allclose(
    out, np.broadcast_to(levels[:, None, None, None], out.shape), rtol=1e-4
  )
  assert 60 - 1e-3 <= levels.min() < 75
  assert 125 < levels.max() <= 140 + 1e-3
  colourful = augmented(images, data)
  assert 0 <= colourful.min()
  assert colourful.max() <= 255


def test_hue_turns_and_leaves_greys(data):
  data.color_jitter = (0.0, 0.0, 0.0, 0.5)
  red = jnp.zeros((64, 2, 2, 3), jnp.uint8).at[..., 0].set(200)
  out = np.asarray(augmented(red, data))
  # Fully saturated and as bright, whatever the hue.
  np.testing.assert_allclose(out.max(-1), 200, rtol=1e-4)
  np.testing.assert_allclose(out.min(-1), 0, atol=1e-3)
  assert set(out[:, 0, 0].argmax(-1)) == {0, 1, 2}
  grey = jnp.full((8, 2, 2, 3), 90, jnp.uint8)
  np.testing.assert_allclose(augmented(grey, data), 90, rtol=1e-4)


def test_brightness_shifts_by_a_share_of_white(data):
  data.brightness_shift = 0.1
  grey = jnp.full((64, 2, 2, 3), 100, jnp.uint8)
  levels = np.asarray(augmented(grey, data))[:, 0, 0, 0]
  assert 74.5 <= levels.min() < 80 and 120 < levels.max() <= 125.5


def test_rotation_turns_about_the_middle_and_fills_with_black(data):
  data.rotate = 15.0
  white = jnp.full((16, 33, 33, 3), 255, jnp.uint8)
  data.mean, data.std = (0.0,) * 3, (1.0,) * 3
  out = np.asarray(augmented(white, data))
  np.testing.assert_array_equal(out, np.round(out))
  np.testing.assert_array_equal(out[:, 16, 16], 255)
  np.testing.assert_allclose(out, np.rot90(out, 2, (1, 2)), atol=1)
  # By 15 degrees, a corner loses at most 4.2 rows at the far end of a side.
  assert (out[:, 5:-5, 5:-5] > 254).all()
  assert (out[:, 0, 0] < 1).all(-1).mean() > 0.5


def test_erases_boxes_of_the_area_and_ratio_that_are_asked_for(data):
  data.erase, data.erase_area, data.erase_ratio = 0.5, (0.1, 0.2), (0.5, 2.0)
  data.mean, data.std = (7.0, 8.0, 9.0), (2.0, 2.0, 2.0)
  white = jnp.full((64, 40, 40, 3), 255, jnp.uint8)
  out = np.asarray(augmented(white, data))
  erased = (out == 0).all(-1)
  some = erased.any((1, 2))
  assert 20 < some.sum() < 44
  corners = set()
  for mask in erased[some]:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    assert mask.sum() == len(rows) * len(columns)
    assert 0.08 < mask.mean() < 0.22
    assert 0.4 < len(rows) / len(columns) < 2.5
    corners.add((rows[0], columns[0]))
  assert len(corners) > 10
  data.erase_with = 'noise'
  noise = np.asarray(augmented(white, data))[erased]
  assert abs(noise.mean()) < 0.05 and abs(noise.std() - 1) < 0.05


def test_mixup_mixes_images_as_it_mixes_targets(data, images):
  data.mixup = 1.0
  shares = set()
  for key in range(4):
    out, targets = both(images, data, key)
    share = targets[0, 0]
    shares.add(float(share))
    expected = share * np.eye(32) + (1 - share) * np.roll(np.eye(32), 1, 1)
    np.testing.assert_allclose(targets, expected, atol=1e-6)
    others = jnp.roll(images, -1, 0)
    np.testing.assert_allclose(
      out, share * images + (1 - share) * others, atol=1e-2
    )
  assert len(shares) == 4 and all(0 < share < 1 for share in shares)


def test_cutmix_counts_the_pixels_that_it_pastes(data, images):
  data.cutmix = 1.0
  shares = []
  for key in range(6):
    out, targets = both(images, data, key)
    own = np.asarray(out == images).all(-1)
    pasted = np.asarray(out == jnp.roll(images, -1, 0)).all(-1)
    assert (own | pasted).all()
    np.testing.assert_allclose(own.mean((1, 2)), targets[0, 0], atol=0.02)
    np.testing.assert_allclose(np.sum(targets, 1), 1, rtol=1e-6)
    shares.append(float(targets[0, 0]))
  assert max(shares) - min(shares) > 0.2


def test_with_both_a_batch_is_mixed_one_way_or_the_other(data, images):
  data.mixup = data.cutmix = 1.0
  ways = []
  for key in range(12):
    out, _ = both(images, data, key)
    whole = (out == images) | (out == jnp.roll(images, -1, 0))
    ways.append(bool(whole.all()))
  assert 0 < sum(ways) < 12


def test_key_decides(data, images):
  data.pad, data.flip, data.rotate, data.policy = 2, True, 15.0, 'autoaugment'
  data.color_jitter = (0.4, 0.4, 0.4, 0.1)
  data.erase, data.mixup, data.cutmix = 0.5, 0.2, 1.0
  first = augmented(images, data)
  again = augmented(images, data)
  other = augmented(images, data, key=1)
  np.testing.assert_array_equal(first, again)
  assert (first != other).any()
