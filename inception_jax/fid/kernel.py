"""The kernel inception distance (Bińkowski et al., arXiv:1801.01401)."""

import numpy as np

from inception_jax.errors import UserError
from inception_jax.runtime import progress_bar


def distance(
  real: np.ndarray,
  fake: np.ndarray,
  *,
  subsets: int = 100,
  size: int = 1000,
  seed: int,
) -> tuple[float, float]:
  """Returns the mean and σ of the squared distances of random subsets.

  That of a subset is the unbiased estimate of the squared maximum mean
  discrepancy with the kernel (x·y/D + 1)³, and may be negative; in float64.
  The subsets are those of torch-fidelity's `metric_kid.py` with `rng_seed` as
  the seed, the fake images as its first input and the real ones as its second.

  Args:
    real: features, float [N, D].
    fake: features, float [M, D].
    subsets: how many pairs of subsets are drawn.
    size: of each subset, at least 2.
    seed: of the draws, which depend on it alone.

  Raises:
    UserError: there are fewer images than a subset has.
  """
  if (fewest := min(len(real), len(fake))) < size:
    raise UserError(
      f'KID: {fewest} images are fewer than the {size} of a subset; give more '
      'images or smaller subsets'
    )
  random = np.random.RandomState(seed)
  values = []
  numbers = range(subsets)
  for _ in progress_bar.track(numbers, subsets, 'KID', 'subsets'):
    x = fake[random.choice(len(fake), size, replace=False)]
    y = real[random.choice(len(real), size, replace=False)]
    values.append(_squared(x.astype(np.float64), y.astype(np.float64)))
  return float(np.mean(values)), float(np.std(values))


def _squared(x: np.ndarray, y: np.ndarray) -> float:
  """Returns the unbiased estimate of two sets of as many rows."""
  size = len(x)
  own = _others(_kernel(x, x)) + _others(_kernel(y, y))
  return own / (size * (size - 1)) - 2 * _kernel(x, y).mean()


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  return (x @ y.T / x.shape[1] + 1) ** 3


def _others(kernel: np.ndarray) -> float:
  return kernel.sum() - np.trace(kernel)
