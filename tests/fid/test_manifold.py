import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.fid import manifold


def _features(count, seed, mean=0.0):
  random = np.random.RandomState(seed)
  return (random.normal(size=(count, 4)) + mean).astype(np.float32)


def _distances(x, y):
  difference = x[:, None].astype(float) - y[None].astype(float)
  return np.sqrt(np.sum(difference**2, -1))


def _by_definition(real, fake, k, dense):
  radius = lambda x, n: np.sort(_distances(x, x), 1)[:, n]
  between = _distances(real, fake)
  inside = between < radius(real, dense)[:, None]
  return (
    np.mean(np.any(between <= radius(real, k)[:, None], 0)),
    np.mean(np.any(between <= radius(fake, k)[None], 1)),
    inside.sum() / (dense * len(fake)),
    np.mean(inside.any(1)),
  )


@pytest.mark.parametrize('values', [2**24, 500, 1])
@pytest.mark.parametrize('k', [(3, 5), (5, 3), (4, 4)])
def test_scores_are_those_of_the_definition(monkeypatch, values, k):
  monkeypatch.setattr(manifold, '_VALUES', values)
  real, fake = _features(90, 0), _features(70, 1, 0.6)
  found = manifold.scores(real, fake, neighbours=k[0], density_neighbours=k[1])
  expected = _by_definition(real, fake, *k)
  assert found == pytest.approx(expected)
  assert 0.2 < min(expected) and expected[0] < 1


def test_the_same_images_have_full_scores():
  # Far from the origin, where the product of differences would cancel.
  real = _features(60, 0, 100.0)
  found = manifold.scores(real, real)
  assert found[:2] == (1, 1) and found.coverage == 1
  assert found.density == pytest.approx(1, abs=0.2)


def test_distant_images_have_none():
  assert manifold.scores(_features(60, 0), _features(60, 1, 99)) == (0,) * 4


def test_images_without_enough_neighbours_are_refused():
  with pytest.raises(UserError, match='5 images do not have 5 neighbours'):
    manifold.scores(_features(60, 0), _features(5, 1))
