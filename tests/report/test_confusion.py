"""Confusion matrices of few and of many classes."""

import re

import numpy as np
import pytest

from inception_jax.report import confusion


def test_few_classes_are_drawn_with_counts_and_outlined_diagonal():
  (figure,) = confusion.matrices(np.array([[7, 3], [0, 5]]), ['a', '狗'])
  assert figure.title == 'Confusion matrix' and not figure.wide
  texts = re.findall(r'>([^<>]+)</text>', figure.svg)
  for text in ('a', '狗', '7', '3', '5', 'true label', 'prediction'):
    assert text in texts
  assert 'images of the class (%)' in texts
  # Two more than a figure of other parts alone: a cell for each class.
  assert len(re.findall(r'<g id="patch_\d+">', figure.svg)) == 6 + 2


@pytest.mark.slow
def test_of_a_thousand_classes_those_confused_most_have_names():
  size = 1000
  counts = 50 * np.eye(size, dtype=int)
  rng = np.random.default_rng(0)
  confused = rng.choice(size, (30, 2), replace=False)
  for i, (a, b) in enumerate(confused):
    counts[a, b] += 40 - i
  few, whole = confusion.matrices(counts, [f'n{i:08}' for i in range(size)])
  assert few.title == '40 of 1000 classes, confused most often'
  assert few.wide and not whole.wide  # small text, and none
  names = re.findall(r'>(n\d{8})</text>', few.svg)
  expected = sorted(f'n{i:08}' for i in confused[:20].flat)
  assert sorted(names) == sorted(2 * expected)  # on both axes
  assert whole.title == 'All 1000 classes, by number, in blocks of 5'
  assert len(whole.svg) < 200_000
