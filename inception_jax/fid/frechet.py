"""The Fréchet distance of two sets of features, its interval and its limit.

|μ₁ − μ₂|² + tr(S₁ + S₂ − 2 (S₁ S₂)^½) (Heusel et al., arXiv:1706.08500). The
trace of the root is the sum of the roots of the eigenvalues of A S₂ Aᵀ, where
AᵀA = S₁: of symmetric matrices, unlike scipy's `sqrtm` of S₁ S₂.
"""

from typing import NamedTuple

import numpy as np

from inception_jax.errors import UserError
from inception_jax.fid import moments
from inception_jax.fid.moments import Moments
from inception_jax.runtime import progress_bar

_SIZES = 15  # of FID∞
_SMALLEST = 5000


class Distance(NamedTuple):
  """A distance and how sure its digits are.

  Attributes:
    value: the distance.
    lost: how much more or less it could be with the eigenvalues that are no
      more than rounding and were left out: negative ones, and those beyond the
      rank that a covariance of so few images has.
  """

  value: float
  lost: float


class _Root(NamedTuple):
  """A covariance as AᵀA, and what is not in it.

  Attributes:
    matrix: A, [R, D].
    rest: [D, K], with |rest restᵀ| of the eigenvalues left out.
  """

  matrix: np.ndarray
  rest: np.ndarray


def distance(a: Moments, b: Moments) -> Distance:
  """Returns the distance; symmetric but for the last digits.

  Raises:
    UserError: the features have different sizes.
  """
  if a.mean.shape != b.mean.shape:
    raise UserError(
      f'features of {len(a.mean)} and of {len(b.mean)} numbers are of two '
      'networks, and have no distance'
    )
  return _distance(_root(a), a, b)


def _root(a: Moments) -> _Root:
  values, vectors = np.linalg.eigh(a.covariance)  # ascending
  kept = (np.arange(len(values)) >= len(values) - a.rank) & (values > 0)
  scaled = vectors * np.sqrt(np.abs(values))
  return _Root(scaled[:, kept].T, scaled[:, ~kept])


def _distance(root: _Root, a: Moments, b: Moments) -> Distance:
  inner = root.matrix @ b.covariance @ root.matrix.T
  values = np.linalg.eigvalsh(inner)
  kept = (np.arange(len(values)) >= len(values) - b.rank) & (values > 0)
  # The sum of roots is the nuclear norm of S₁^½ S₂^½: each part that is left
  # out would change it by no more than its own norm.
  columns = np.sum(root.rest * (b.covariance @ root.rest), 0)
  lost = np.sqrt(np.abs(values[~kept])).sum() + np.sqrt(np.abs(columns)).sum()
  difference = a.mean - b.mean
  traces = np.trace(a.covariance) + np.trace(b.covariance)
  shared = np.sqrt(values[kept]).sum()
  value = difference @ difference + traces - 2 * shared
  return Distance(max(float(value), 0.0), 2 * float(lost))


def interval(
  real: Moments | np.ndarray,
  fake: np.ndarray,
  *,
  resamples: int,
  level: float,
  seed: int,
) -> tuple[float, float]:
  """Returns a bootstrap interval of the distance between these many images.

  The quantiles are those of the distances of images drawn with replacement.
  These are larger than that of the images themselves, as those of fewer images
  are: the interval is moved by the mean of the difference. Hence it tells how
  much other images of both kinds, as many, would change the distance.

  Args:
    real: moments, which stay as they are, or features, float [N, D].
    fake: features, float [M, D].
    resamples: how many times images are drawn.
    level: of the interval, such as 0.95.
    seed: of the draws, which depend on it alone.

  Raises:
    UserError: there are fewer than two images, or features of two networks.
  """
  random = np.random.RandomState(seed)
  fixed = real if isinstance(real, Moments) else moments.from_features(real)
  point = distance(fixed, moments.from_features(fake)).value
  root = _root(fixed)
  values = []
  steps = range(resamples)
  for _ in progress_bar.track(steps, resamples, 'bootstrap', 'resamples'):
    if not isinstance(real, Moments):
      fixed = _resampled(real, random)
      root = _root(fixed)
    values.append(_distance(root, fixed, _resampled(fake, random)).value)
  tail = (1 - level) / 2
  centred = np.array(values) - np.mean(values) + point
  low, high = np.quantile(centred, [tail, 1 - tail])
  return max(float(low), 0.0), float(high)


def _resampled(features: np.ndarray, random) -> Moments:
  rows = np.sort(random.randint(len(features), size=len(features)))
  found = moments.from_features(features[rows])
  # Repeated rows add nothing to the rank.
  return Moments(found.mean, found.covariance, len(np.unique(rows)))


def extrapolated(
  real: Moments, fake: np.ndarray, *, seed: int, smallest: int | None = None
) -> float:
  """Returns FID∞, the distance of endlessly many images.

  As of Chong and Forsyth (arXiv:1911.07023, `FID_infinity` of
  mchong6/FID_IS_infinity with random subsets): a line in 1/N, fitted to the
  distances of 15 subsets, at 0.

  Args:
    real: its moments.
    fake: features, float [N, D].
    seed: of the subsets, which depend on it alone.
    smallest: size of the smallest subset; by default 5,000, or half of the
      images if these are fewer than 10,000.

  Raises:
    UserError: there are too few images.
  """
  count = len(fake)
  smallest = min(_SMALLEST, count // 2) if smallest is None else smallest
  if not 2 <= smallest < count:
    raise UserError(f'{count} images are too few to extrapolate from')
  random, root = np.random.RandomState(seed), _root(real)
  sizes = np.linspace(smallest, count, _SIZES).astype(int)
  values = []
  for size in progress_bar.track(sizes, _SIZES, 'extrapolation', 'sizes'):
    rows = np.sort(random.permutation(count)[:size])
    subset = moments.from_features(fake[rows])
    values.append(_distance(root, real, subset).value)
  return float(np.polyfit(1 / sizes, values, 1)[1])
