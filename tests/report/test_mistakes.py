"""What classes are taken for."""

import numpy as np

from inception_jax.report import mistakes


def test_classes_are_taken_for_the_most_frequent_wrong_predictions():
  counts = np.array(
    [
      [9, 0, 1, 0, 2],
      [0] * 5,
      [0, 0, 4, 0, 0],
      [1, 2, 3, 0, 4],
      [1, 1, 0, 1, 0],
    ]
  )
  # The second class has no images, only predictions.
  assert mistakes.taken_for(counts, 'abcde') == [
    [('e', 2), ('c', 1)],
    [],
    [('e', 4), ('c', 3), ('b', 2)],
    [('a', 1), ('b', 1), ('d', 1)],
  ]
