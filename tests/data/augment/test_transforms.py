"""Augmentation and normalization of batches."""

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
  """Returns the augmented images of a batch with labels 0, 1, 2, …"""
  return augmented_batch(images, data, key)[0]


def augmented_batch(images, data, key=0):
  batch = {'image': images, 'label': jnp.arange(len(images))}
  return transforms.train_batch(jax.random.key(key), batch, data, len(images))


@pytest.fixture
def images():
  return jax.random.randint(jax.random.key(9), (32, 8, 8, 3), 1, 256).astype(
    jnp.uint8
  )


def test_without_augmentation_it_only_normalizes(data, images):
  data.mean, data.std = (10.0, 20.0, 30.0), (1.0, 2.0, 4.0)
  out = augmented(images, data)
  assert out.dtype == jnp.float32
  expected = (np.float32(images) - [10, 20, 30]) / [1, 2, 4]
  np.testing.assert_allclose(out, expected, rtol=1e-6)
  np.testing.assert_array_equal(out, transforms.normalize(images, data))


def test_flips_about_half_of_the_images(data, images):
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
    places = [
      (y, x)
      for y in range(5)
      for x in range(5)
      if (wide[y : y + 8, x : x + 8] == image).all()
    ]
    assert len(places) == 1
    corners.add(places[0])
  assert len(corners) > 10


def test_rotation_is_about_the_center_and_fills_with_black(data):
  data.rotate = 15.0
  white = jnp.full((16, 33, 33, 3), 255, jnp.uint8)
  data.mean, data.std = (0.0,) * 3, (1.0,) * 3
  out = np.asarray(augmented(white, data))
  np.testing.assert_array_equal(out, np.round(out))
  np.testing.assert_array_equal(out[:, 16, 16], 255)
  np.testing.assert_allclose(out, np.rot90(out, 2, (1, 2)), atol=1)
  # At 15 degrees, the fill reaches at most 4.2 rows into the image.
  assert (out[:, 5:-5, 5:-5] > 254).all()
  assert (out[:, 0, 0] < 1).all(-1).mean() > 0.5


def test_erasing_respects_area_and_ratio(data):
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


def test_mixup_mixes_images_and_targets_alike(data, images):
  data.mixup = 1.0
  lams = set()
  for key in range(4):
    out, targets = augmented_batch(images, data, key)
    lam = targets[0, 0]
    lams.add(float(lam))
    expected = lam * np.eye(32) + (1 - lam) * np.roll(np.eye(32), 1, 1)
    np.testing.assert_allclose(targets, expected, atol=1e-6)
    others = jnp.roll(images, -1, 0)
    np.testing.assert_allclose(
      out, lam * images + (1 - lam) * others, atol=1e-2
    )
  assert len(lams) == 4 and all(0 < lam < 1 for lam in lams)


def test_mixup_does_not_mix_copies_of_an_image(data, images):
  data.mixup, data.repeats = 1.0, 3
  copies = jnp.repeat(images[:10], 3, axis=0)
  batch = {'image': copies, 'label': jnp.arange(30) // 3}
  _, targets = transforms.train_batch(jax.random.key(0), batch, data, 10)
  assert ((targets > 0).sum(axis=1) == 2).all()


def test_cutmix_targets_follow_the_pasted_area(data, images):
  data.cutmix = 1.0
  lams = []
  for key in range(6):
    out, targets = augmented_batch(images, data, key)
    kept = np.asarray(out == images).all(-1)
    pasted = np.asarray(out == jnp.roll(images, -1, 0)).all(-1)
    assert (kept | pasted).all()
    np.testing.assert_allclose(kept.mean((1, 2)), targets[0, 0], atol=0.02)
    np.testing.assert_allclose(np.sum(targets, 1), 1, rtol=1e-6)
    lams.append(float(targets[0, 0]))
  assert max(lams) - min(lams) > 0.2


@pytest.mark.slow
def test_with_mixup_and_cutmix_a_batch_gets_one_of_them(data, images):
  data.mixup = data.cutmix = 1.0
  is_cutmix = []
  for key in range(12):
    out, _ = augmented_batch(images, data, key)
    whole = (out == images) | (out == jnp.roll(images, -1, 0))
    is_cutmix.append(bool(whole.all()))
  assert 0 < sum(is_cutmix) < 12


@pytest.mark.slow
def test_result_depends_on_the_key_alone(data, images):
  data.pad, data.flip, data.rotate, data.policy = 2, True, 15.0, 'autoaugment'
  data.color_jitter = (0.4, 0.4, 0.4, 0.1)
  data.erase, data.mixup, data.cutmix = 0.5, 0.2, 1.0
  first = augmented(images, data)
  again = augmented(images, data)
  other = augmented(images, data, key=1)
  np.testing.assert_array_equal(first, again)
  assert (first != other).any()
