"""The first training batch, as the network sees it."""

import jax
import numpy as np
import pytest

from inception_jax.data import pipeline
from inception_jax.data import splits
from inception_jax.data.augment import transforms
from inception_jax.training import preview
from tests.support.tiny import tiniest_config


@pytest.fixture
def split():
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (40, 12, 12, 3), np.uint8)
  return splits.from_arrays(images, np.arange(40) % 4, 'abcd')


def config_of(batch_size):
  config = tiniest_config()
  config.batch_size, config.seed = batch_size, 3
  data = config.data
  data.channels, data.mean, data.std = 3, (10.0, 20.0, 30.0), (50.0, 60.0, 70.0)
  data.train_crop, data.color_jitter = 'resized', (0.0,) * 4
  data.pad = 0
  return config


@pytest.mark.slow
def test_a_small_batch_is_the_one_that_the_training_step_gets(split):
  config = config_of(6)
  data = config.data
  data.flip, data.rotate, data.erase = True, 15.0, 0.5
  data.color_jitter = (0.2, 0.2, 0.2, 0.1)
  data.mixup, data.cutmix = 0.2, 1.0
  images, targets = preview.first_images(config, split, 4, 5)
  batch = next(pipeline.train_batches(split, config, 0, range(6)))
  # The key as the training step's first lines have it.
  key = jax.random.fold_in(jax.random.key(3), 0)
  augment_key, _ = jax.random.split(key)
  augment = jax.jit(lambda k, b: transforms.train_batch(k, b, data, 4))
  expected, labels = map(np.asarray, augment(augment_key, batch))
  assert images.dtype == np.uint8
  levels = np.clip(expected[:5] * data.std + data.mean, 0, 255)
  np.testing.assert_allclose(images, levels, atol=0.51)
  np.testing.assert_allclose(targets, labels[:5], atol=1e-6)
  assert ((targets > 0).sum(axis=1) == 2).any()


def test_of_a_large_batch_the_first_crops_are_shown(split):
  config = config_of(32)
  images, targets = preview.first_images(config, split, 4, 5)
  batch = next(pipeline.train_batches(split, config, 0, range(32)))
  np.testing.assert_array_equal(images, batch['image'][:5])
  assert targets.argmax(axis=1).tolist() == batch['label'][:5].tolist()


def test_images_have_the_size_of_the_first_step(split):
  config = tiniest_config()
  config.batch_size, config.train_for = 4, '8 steps'
  config.data.channels, config.data.mean, config.data.std = 3, (0.0,), (1.0,)
  config.data.image_size, config.data.grow_from = 24, 12
  config.data.grow_for = '4 steps'
  images, targets = preview.first_images(config, split, 4, 9)
  assert images.shape == (4, 12, 12, 3)
  assert targets.sum(axis=1).tolist() == [1.0] * 4
