import numpy as np
import pytest
from scipy import linalg

from inception_jax.errors import UserError
from inception_jax.fid import frechet
from inception_jax.fid import moments


def _features(count, dimension=20, seed=0, mean=0.0):
  random = np.random.RandomState(seed)
  mixed = random.normal(size=(count, dimension)) @ random.normal(
    size=(dimension, dimension)
  )
  return mixed + mean


def _moments(*args, **options):
  return moments.from_features(_features(*args, **options))


def test_the_distance_is_that_of_the_definition():
  a, b = _moments(200), _moments(300, seed=1, mean=0.3)
  root = linalg.sqrtm(a.covariance @ b.covariance)
  expected = np.sum((a.mean - b.mean) ** 2) + np.trace(
    a.covariance + b.covariance - 2 * root.real
  )
  found = frechet.distance(a, b)
  assert found.value == pytest.approx(expected, rel=1e-12)
  assert found.lost == 0
  assert frechet.distance(b, a).value == pytest.approx(expected, rel=1e-12)


def test_the_distance_of_commuting_covariances():
  # Σ(√λ₁ − √λ₂)², with eigenvalues from 10⁻¹² to 1.
  random = np.random.RandomState(0)
  basis = np.linalg.qr(random.normal(size=(30, 30)))[0]
  first, second = np.logspace(-12, 0, 30), np.logspace(0, -12, 30)
  a, b = (
    moments.Moments(np.zeros(30), basis * x @ basis.T, 0)
    for x in (first, second)
  )
  expected = np.sum((np.sqrt(first) - np.sqrt(second)) ** 2)
  assert frechet.distance(a, b).value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize('counts', [(5, 9), (9, 5), (5, 200), (200, 5)])
def test_few_images_lose_no_digits(counts):
  """The nuclear norm of centred features is the trace of the root."""
  a, b = (_features(c, 60, seed) for seed, c in enumerate(counts))
  scaled = [(x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b)]
  shared = np.linalg.svd(scaled[0] @ scaled[1].T, compute_uv=False).sum()
  expected = np.sum((a.mean(0) - b.mean(0)) ** 2) - 2 * shared
  expected += sum(np.sum(x**2) for x in scaled)
  found = frechet.distance(*map(moments.from_features, (a, b)))
  assert found.value == pytest.approx(expected, rel=1e-12)
  assert 0 < found.lost < 1e-3 * expected


def test_what_a_negative_eigenvalue_could_have_added_is_stated():
  a = moments.Moments(np.zeros(2), np.diag([1.0, -1e-4]), 0)
  b = moments.Moments(np.zeros(2), np.diag([1.0, 4.0]), 0)
  found = frechet.distance(a, b)
  assert found.value == pytest.approx(1 - 1e-4 + 5 - 2)
  assert found.lost == pytest.approx(2 * np.sqrt(4e-4))


def test_a_set_has_no_distance_from_itself():
  a = _moments(200)
  assert 0 <= frechet.distance(a, a).value < 1e-10


def test_features_of_two_networks_have_no_distance():
  with pytest.raises(UserError, match='features of 20 and of 8 numbers'):
    frechet.distance(_moments(50), _moments(50, 8))


@pytest.mark.parametrize('fixed', [False, True])
def test_the_interval_holds_most_distances_of_other_images(fixed):
  real = _features(400, 3)
  given = moments.from_features(real) if fixed else real
  population = _features(20000, 3, mean=0.5)
  options = {'resamples': 60, 'level': 0.9, 'seed': 3}
  low, high = frechet.interval(given, population[:400], **options)
  starts = range(400, 20000, 400)
  others = [
    frechet.distance(
      moments.from_features(real),
      moments.from_features(population[start : start + 400]),
    ).value
    for start in starts
  ]
  inside = np.mean([low <= other <= high for other in others])
  assert 0.5 < inside < (1 if fixed else 1.01)
  assert (low, high) == frechet.interval(given, population[:400], **options)
  assert frechet.interval(given, population[:400], **options | {'seed': 4}) != (
    low,
    high,
  )


def test_the_interval_is_around_the_distance():
  real, fake = _moments(400, 60), _features(30, 60, seed=1)
  point = frechet.distance(real, moments.from_features(fake)).value
  low, high = frechet.interval(real, fake, resamples=40, level=0.9, seed=0)
  assert low < point < high
  assert high - low < point


def test_the_limit_is_that_of_endlessly_many_images():
  population = _features(40000)
  real, fake = moments.from_features(population), population[20000:20400]
  biased = frechet.distance(real, moments.from_features(fake)).value
  limit = frechet.extrapolated(real, fake, seed=0)
  assert abs(limit) < 0.3 * biased
  assert limit == frechet.extrapolated(real, fake, seed=0)
  assert limit != frechet.extrapolated(real, fake, seed=1)
  with pytest.raises(UserError, match='3 images are too few'):
    frechet.extrapolated(real, fake[:3], seed=0)
