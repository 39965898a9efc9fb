"""How sure the scores are."""

from collections.abc import Sequence
import math
from typing import NamedTuple

import numpy as np

# Of a normal distribution, what 95 % lies within.
_Z = 1.959964

_BINS = 15


class Paired(NamedTuple):
  """Two networks on the same images.

  Attributes:
    difference: of their accuracies, the first less the second.
    low, high: its 95 % interval (Wald's for paired proportions).
    p: of the exact McNemar test, that neither is better.
  """

  difference: float
  low: float
  high: float
  p: float


def wilson(share: float, count: int) -> tuple[float, float]:
  """The 95 % interval of an accuracy (Wilson's score)."""
  from scipy import stats

  found = stats.binomtest(round(share * count), count)
  low, high = found.proportion_ci(0.95, method='wilson')
  return float(low), float(high)


def paired(first: np.ndarray, second: np.ndarray) -> Paired:
  """Compares which images each of two networks got right.

  Args:
    first: bool [images].
    second: bool [images], the same images in the same order.
  """
  from scipy import stats

  n = len(first)
  only_first = int(np.sum(first & ~second))
  only_second = int(np.sum(second & ~first))
  discordant = only_first + only_second
  difference = (only_first - only_second) / n
  error = math.sqrt(discordant - (only_first - only_second) ** 2 / n) / n
  p = stats.binomtest(only_first, discordant).pvalue if discordant else 1.0
  return Paired(
    difference, difference - _Z * error, difference + _Z * error, float(p)
  )


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
  """Expected calibration error (Guo et al. 2017), 15 bins of equal width.

  Args:
    confidence: [images], the probability of each best guess.
    right: bool [images], whether it was right.
  """
  bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
  gaps = [
    abs(np.sum(confidence[bins == i]) - np.sum(right[bins == i]))
    for i in range(_BINS)
  ]
  return float(np.sum(gaps) / len(right))


def spread(values: Sequence[float]) -> tuple[float, float]:
  """Mean and standard deviation of what was measured more than once."""
  return float(np.mean(values)), float(np.std(values, ddof=1))
