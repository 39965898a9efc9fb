"""Weights and sampling of classes of unequal size."""

import dataclasses

import numpy as np
import pytest
from sklearn.utils import class_weight

from configs import digits
from inception_jax.data import balance
from inception_jax.data import config_check
from inception_jax.data import order
from inception_jax.data import pipeline
from inception_jax.data import splits
from inception_jax.data.sources import registry
from inception_jax.errors import UserError
from inception_jax.models import factory

LABELS = np.array([2, 0, 0, 2, 1, 0, 2, 2, 0, 0, 0])
COUNTS = {0: 6, 1: 1, 2: 4}


@pytest.fixture
def config():
  return factory.resolve(digits.get_config())


@pytest.fixture
def split():
  images = np.arange(11, dtype=np.uint8)[:, None, None, None]
  return splits.from_arrays(images, LABELS, ('a', 'b', 'c'))


def records(split, step, count, rows=range(4), seed=0, repeats=1):
  """The records at `count` positions, in batches of 4."""
  elements = order.training(split, seed, 4, rows, repeats, balanced=True)(step)
  stream = elements.take(count).as_numpy_iterator()
  return [int(record) for _, record in stream]


def test_sizes_of_classes_are_described(split):
  assert balance.describe(split) == (
    '11 images of 3 classes: 1 (b) to 6 (a) of each, a ratio of 6'
  )
  unknown = dataclasses.replace(split, labels=None)
  assert balance.describe(unknown) == '11 images of 3 classes'


def test_each_class_is_drawn_equally_often(split):
  seen = records(split, 0, 3 * 24)
  labels = LABELS[seen].reshape(-1, 3)
  assert np.array_equal(np.sort(labels), np.tile([0, 1, 2], (24, 1)))
  assert len({tuple(row) for row in labels}) > 3
  for label, count in COUNTS.items():
    of_class = [x for x in seen if LABELS[x] == label]
    rounds = np.reshape(of_class, (-1, count))
    assert (np.sort(rounds) == np.flatnonzero(LABELS == label)).all()
    assert count == 1 or len({tuple(row) for row in rounds}) > 1


def test_the_draws_are_a_function_of_seed_and_position(split):
  seen = records(split, 0, 80)
  assert records(split, 7, 52) == seen[28:]
  assert records(split, 10**9, 4) == records(split, 10**9 - 1, 8)[4:]
  hosts = [records(split, 0, 40, range(i, i + 2)) for i in (0, 2)]
  together = np.concatenate([np.reshape(x, (-1, 2)) for x in hosts], axis=1)
  assert together.ravel().tolist() == seen
  assert records(split, 0, 80, seed=1) != seen
  assert records(split, 0, 80, repeats=2)[::2] == seen[:40]


def test_training_batches_follow_the_key(config):
  config.data.sampling = 'balanced'
  config.batch_size = 20
  split = registry.load(config, 'train')
  batch = next(pipeline.train_batches(split, config, 3, range(20)))
  assert np.bincount(batch['label']).tolist() == [2] * 10


def test_weights_are_scikit_learns(config, split):
  config.data.class_weights = 'balanced'
  weights = balance.class_weights(config.data, split, 5)
  expected = class_weight.compute_class_weight(
    'balanced', classes=np.arange(3), y=LABELS
  )
  np.testing.assert_allclose(weights, [*expected, 1, 1], rtol=1e-6)
  assert weights[LABELS].mean() == pytest.approx(1)
  config.data.class_weights = ''
  assert balance.class_weights(config.data, split, 5) is None


def test_what_cannot_be_balanced_is_reported(config):
  config.data.update(class_weights='balanced', sampling='balanced')
  assert config_check.check(config) == [
    "data.sampling='balanced': expected '' with data.class_weights"
  ]
  config.data.sampling, config.loss = '', 'binary_cross_entropy'
  (fault,) = config_check.check(config)
  assert "data.class_weights='balanced': expected '' but for loss=" in fault
  config.data.source = 'synthetic'
  split = registry.load(config, 'train')
  with pytest.raises(UserError, match='synthetic cannot count its classes'):
    balance.check(config.data, split)
