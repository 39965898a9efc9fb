import itertools

import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.fid import inception_score


def _score(p):
  """exp of the mean Kullback-Leibler divergence from the mean."""
  return np.exp(np.mean(np.sum(p * np.log(p / p.mean(0)), 1)))


def test_it_is_the_score_of_the_shuffled_splits():
  p = np.random.RandomState(0).dirichlet(np.ones(5), 23)
  logits = (np.log(p) + 7).astype(np.float32)
  order = np.random.RandomState(2020).permutation(23)
  ends = [0, 5, 11, 17, 23]  # of torch-fidelity: i · 23 // 4
  scores = [_score(p[order[a:b]]) for a, b in itertools.pairwise(ends)]
  found = inception_score.score(logits, splits=4, seed=2020)
  assert found == pytest.approx((np.mean(scores), np.std(scores)), rel=1e-5)


@pytest.mark.parametrize('scale', [100, 1e5])
def test_certain_and_diverse_images_have_the_number_of_classes(scale):
  # The last class has no image.
  logits = np.tile(np.eye(10, 11, dtype=np.float32) * scale, (20, 1))
  mean, deviation = inception_score.score(logits, splits=1, seed=0)
  assert (mean, deviation) == (pytest.approx(10), 0)


def test_one_class_has_a_score_of_1():
  logits = np.tile(np.arange(10, dtype=np.float32), (20, 1))
  assert inception_score.score(logits, seed=0) == pytest.approx((1, 0))


def test_too_few_images_are_refused():
  with pytest.raises(UserError, match='9 images make no 10 splits'):
    inception_score.score(np.zeros((9, 3)), seed=0)
