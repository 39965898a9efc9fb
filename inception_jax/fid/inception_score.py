"""The Inception Score (Salimans et al., arXiv:1606.03498)."""

import itertools

import numpy as np
from scipy import special

from inception_jax.errors import UserError


def score(
  logits: np.ndarray, *, splits: int = 10, seed: int
) -> tuple[float, float]:
  """Returns the mean and σ of the scores of the splits, in float64.

  The shuffle is that of torch-fidelity's `metric_isc.py` with `rng_seed` as the
  seed.

  Args:
    logits: float [N, classes]; for published figures, those of the network of
      2015 without its bias.
    splits: into how many parts the shuffled images are split.
    seed: of the shuffle, which depends on it alone.

  Raises:
    UserError: there are fewer images than splits.
  """
  if (count := len(logits)) < splits:
    raise UserError(f'Inception Score: {count} images make no {splits} splits')
  order = np.random.RandomState(seed).permutation(count)
  ends = [i * count // splits for i in range(splits + 1)]
  scores = []
  for begin, end in itertools.pairwise(ends):
    rows = logits[order[begin:end]].astype(np.float64)
    log_p = special.log_softmax(rows, axis=1)
    log_mean = special.logsumexp(log_p, axis=0) - np.log(len(rows))
    divergences = np.sum(np.exp(log_p) * (log_p - log_mean), 1)
    scores.append(np.exp(divergences.mean()))
  return float(np.mean(scores)), float(np.std(scores))
