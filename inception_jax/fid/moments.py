"""Mean and covariance of features, in float64 on the host."""

import dataclasses

import numpy as np

from inception_jax.errors import UserError

# Rows added at a time, whatever the batches are: the order of the additions,
# and with it every bit of the result, depends on the rows alone.
_ROWS = 512


@dataclasses.dataclass(frozen=True, eq=False)
class Moments:
  """What the Fréchet distance needs of a set of features.

  Attributes:
    mean: float64 [D].
    covariance: float64 [D, D], divided by count − 1, as by `np.cov`.
    count: how many rows there are; 0 where a file does not say.
  """

  mean: np.ndarray
  covariance: np.ndarray
  count: int

  @property
  def rank(self) -> int:
    """The highest rank that the covariance of so many rows has."""
    dimension = len(self.mean)
    return min(dimension, self.count - 1) if self.count else dimension


class Accumulator:
  """Adds features as they come, without keeping them.

  The batches in which the same rows come make no difference, to the bit.
  """

  def __init__(self):
    self._count = self._filled = 0
    self._block = self._centre = self._sum = self._products = None

  def add(self, features: np.ndarray) -> None:
    """Adds rows, float [N, D].

    Raises:
      UserError: some are not finite.
      ValueError: they have another shape.
    """
    features = np.asarray(features)
    if features.ndim != 2:
      raise ValueError(f'features have shape {features.shape}, not [N, D]')
    bad = int(np.sum(~np.isfinite(features).all(1)))
    if bad:
      raise UserError(
        f'the features of {bad} images are not finite: are the weights?'
      )
    if self._block is None:
      self._block = np.empty((_ROWS, features.shape[1]))
    if features.shape[1] != self._block.shape[1]:
      raise ValueError(
        f'{features.shape[1]} features, not {self._block.shape[1]}'
      )
    while len(features):
      rows = features[: _ROWS - self._filled]
      self._block[self._filled : self._filled + len(rows)] = rows
      self._filled += len(rows)
      features = features[len(rows) :]
      if self._filled == _ROWS:
        self._count, self._sum, self._products = self._totals()
        self._filled = 0

  def _totals(self):
    """Returns the count and the sums with those of the unfinished block."""
    rows = self._block[: self._filled]
    if self._centre is None:
      # Near the mean, so that little cancels when the mean is subtracted.
      self._centre = rows.mean(0)
    rows = rows - self._centre
    total, products = rows.sum(0), rows.T @ rows
    if self._count:
      total, products = self._sum + total, self._products + products
    return self._count + self._filled, total, products

  def moments(self) -> Moments:
    """Returns the moments of all rows added so far.

    Raises:
      UserError: these are fewer than two.
    """
    if self._count + self._filled < 2:
      raise UserError(
        f'{self._count + self._filled} images: a covariance takes two or more'
      )
    centre = self._centre
    count, total, products = self._totals()
    mean = total / count
    covariance = (products - count * np.outer(mean, mean)) / (count - 1)
    result = Moments(self._centre + mean, covariance, count)
    self._centre = centre  # that of a whole block, once there is one
    return result


def from_features(features: np.ndarray) -> Moments:
  """Returns the moments of features, float [N, D].

  Raises:
    UserError: there are fewer than two rows, or some are not finite.
  """
  accumulator = Accumulator()
  accumulator.add(features)
  return accumulator.moments()
