import itertools

import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.fid import kernel


def _features(count, seed=0):
  random = np.random.RandomState(seed)
  return random.normal(0.5, 1, (count, 6)).astype(np.float32)


def _by_definition(x, y):
  """The mean over all pairs of two images, in plain numbers."""
  k = lambda a, b: (float(np.dot(a.astype(float), b)) / 6 + 1) ** 3
  pairs = list(itertools.permutations(range(len(x)), 2))
  own = np.mean([k(x[i], x[j]) + k(y[i], y[j]) for i, j in pairs])
  return own - 2 * np.mean([k(a, b) for a in x for b in y])


def test_it_is_the_unbiased_estimate():
  x, y = _features(12), _features(12, seed=1)
  found = kernel.distance(x, y, subsets=3, size=12, seed=0)
  assert found == pytest.approx((_by_definition(x, y), 0), abs=1e-12)


def test_subsets_are_those_of_torch_fidelity():
  """Of its first input, the fake images, then of the second; also its σ."""
  real, fake = _features(30), _features(20, seed=1)
  random = np.random.RandomState(2020)
  values = []
  for _ in range(4):
    x = fake[random.choice(20, 10, replace=False)]
    y = real[random.choice(30, 10, replace=False)]
    values.append(_by_definition(x, y))
  found = kernel.distance(real, fake, subsets=4, size=10, seed=2020)
  assert found == pytest.approx((np.mean(values), np.std(values)), rel=1e-9)
  assert found != kernel.distance(real, fake, subsets=4, size=10, seed=1)


def test_too_few_images_are_refused():
  with pytest.raises(UserError, match='KID: 20 images are fewer than the 1000'):
    kernel.distance(_features(2000), _features(20), seed=0)
