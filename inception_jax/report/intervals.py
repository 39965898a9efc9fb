"""Confidence intervals, a paired test and calibration of accuracies."""

import math
from typing import NamedTuple

import numpy as np

# 97.5 % quantile of the normal distribution, for a two-sided 95 % interval.
_Z = 1.959964
_BINS = 15


class Paired(NamedTuple):
  """Difference between two networks on the same images.

  Attributes:
    difference: accuracy of the first network minus that of the second.
    low, high: its 95 % confidence interval (Wald's for paired proportions).
    p: p-value of the exact McNemar test; the null hypothesis is that both have
      the same accuracy.
  """

  difference: float
  low: float
  high: float
  p: float


def wilson(accuracy: float, count: int) -> tuple[float, float]:
  """Returns the 95 % Wilson score interval of an accuracy over count images."""
  from scipy import stats

  test = stats.binomtest(round(accuracy * count), count)
  low, high = test.proportion_ci(0.95, method='wilson')
  return float(low), float(high)


def paired(first: np.ndarray, second: np.ndarray) -> Paired:
  """Compares two networks by which images each classified correctly.

  Both are bool [images], of the same images in the same order.
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


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
  """Returns the expected calibration error (Guo et al. 2017), with 15 bins.

  `confidence` [images] is the probability of each top-1 prediction, `correct`
  [images] whether that is correct. The bins have equal width.
  """
  bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
  gaps = [
    abs(np.sum(confidence[bins == i]) - np.sum(correct[bins == i]))
    for i in range(_BINS)
  ]
  return float(np.sum(gaps) / len(correct))
