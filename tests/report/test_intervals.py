"""Confidence intervals, the paired test and calibration."""

import numpy as np
import pytest

from inception_jax.report import intervals


def test_intervals_match_published_examples():
  # Newcombe 1998, table I: 81 of 263; Agresti 2002, section 10.1.1.
  low, high = intervals.wilson(81 / 263, 263)
  assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
  first = np.repeat([True, True, False, False], [794, 150, 86, 570])
  second = np.repeat([True, False, True, False], [794, 150, 86, 570])
  found = intervals.paired(first, second)
  assert round(found.difference, 3) == 0.040
  assert (round(found.low, 3), round(found.high, 3)) == (0.021, 0.059)
  assert found.p == pytest.approx(3.7e-5, rel=0.1)
  same = intervals.paired(first, first)
  assert same == (0.0, 0.0, 0.0, 1.0)


def test_calibration_error():
  confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.5, 0.5])
  correct = np.array([True, True, True, False, True, False])
  # A bin at 0.9 with an accuracy of 0.75, and one at 0.5 with 0.5.
  expected = 4 / 6 * 0.15
  found = intervals.calibration_error(confidence, correct)
  assert found == pytest.approx(expected)
