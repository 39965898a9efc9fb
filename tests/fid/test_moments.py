import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.fid import moments


def _features(count, dimension=7, seed=0):
  random = np.random.RandomState(seed)
  return np.abs(random.normal(5, 1, (count, dimension))).astype(np.float32)


@pytest.mark.parametrize('count', [2, 511, 512, 513, 1500])
def test_moments_are_those_of_numpy_in_float64(count):
  features = _features(count)
  found, exact = moments.from_features(features), features.astype(np.float64)
  covariance = np.cov(exact, rowvar=False)
  scale = np.abs(covariance).max()
  assert found.count == count
  assert np.abs(found.mean - exact.mean(0)).max() < 1e-14
  assert np.abs(found.covariance - covariance).max() < 4e-15 * scale


def test_little_is_lost_where_the_mean_is_large():
  features = 1000 + _features(1500).astype(np.float64)
  covariance = np.cov(features, rowvar=False)
  found = moments.from_features(features).covariance
  assert np.abs(found - covariance).max() < 4e-15 * np.abs(covariance).max()


@pytest.mark.parametrize('batch', [1, 100, 512, 700])
def test_batches_make_no_difference_to_the_bit(batch):
  features = _features(1300)
  accumulator = moments.Accumulator()
  for start in range(0, 1300, batch):
    accumulator.add(features[start : start + batch])
    if start == 300:
      accumulator.moments()  # nor does asking early
  expected, found = moments.from_features(features), accumulator.moments()
  assert np.array_equal(expected.mean, found.mean)
  assert np.array_equal(expected.covariance, found.covariance)


def test_the_rank_is_that_of_the_rows():
  assert moments.from_features(_features(4)).rank == 3
  assert moments.from_features(_features(40)).rank == 7
  assert moments.Moments(np.zeros(7), np.eye(7), 0).rank == 7


def test_features_that_have_no_moments_are_refused():
  with pytest.raises(UserError, match='1 images: a covariance takes two'):
    moments.from_features(_features(1))
  features = _features(4)
  features[[1, 3], 2] = np.nan, np.inf
  with pytest.raises(UserError, match='features of 2 images are not finite'):
    moments.from_features(features)
