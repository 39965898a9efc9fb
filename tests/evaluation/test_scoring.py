"""Scores of a batch."""

import jax.numpy as jnp

from inception_jax.evaluation import scoring


def test_classes_rank_by_logits_and_ties_by_index():
  # Differences of 1e-9 are lost in probabilities and in their logarithms.
  scores = jnp.array([[20, 0, 1e-9, 3e-9, 2e-9, 1e-9, 0]], jnp.float32)
  for label, correct in (3, 1), (5, 1), (1, 0), (6, 0):
    labels = jnp.array([[label]], jnp.int32)
    result = scoring.score(scores, labels, jnp.ones(1), jnp.ones(7, bool))
    assert result['classes'].tolist() == [[0, 3, 4, 2, 5]]
    assert result['top5'] == correct
