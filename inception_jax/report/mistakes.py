"""Confusion counts, and the images with the worst mistakes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from inception_jax.data import pipeline
from inception_jax.data import splits
from inception_jax.evaluation import predictions
from inception_jax.report import pictures

_MOST_PAIRS = 50
_MOST_TAKEN_FOR = 3


def confusion(
  columns: dict[str, Any], names: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
  """Counts images by label (row) and prediction (column): int [N, N].

  Returns the names of these N classes, which occur as either, too.
  """
  from sklearn import metrics

  labels, predicted = columns['labels'][:, 0], columns['classes'][:, 0]
  used = np.union1d(labels, predicted)
  counts = metrics.confusion_matrix(labels, predicted, labels=used)
  return counts, [names[i] for i in used]


def confused_pairs(
  counts: np.ndarray, names: Sequence[str]
) -> list[dict[str, Any]]:
  """Returns the most frequent confusions, most frequent first.

  Each has 'label', 'predicted', 'count' and 'fraction', of the label's images.
  """
  wrong = counts * (1 - np.eye(len(counts), dtype=int))
  order = np.argsort(-wrong, axis=None, kind='stable')[:_MOST_PAIRS]
  return [
    {
      'label': names[i],
      'predicted': names[j],
      'count': int(wrong[i, j]),
      'fraction': wrong[i, j] / counts[i].sum(),
    }
    for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)
    if wrong[i, j]
  ]


def taken_for(
  counts: np.ndarray, names: Sequence[str]
) -> list[list[tuple[str, int]]]:
  """Returns the most frequent wrong predictions of each class with images.

  Each is (name, images), most frequent first. Classes are in the order of
  their labels.
  """
  wrong = counts * (1 - np.eye(len(counts), dtype=int))
  order = np.argsort(-wrong, axis=1, kind='stable')[:, :_MOST_TAKEN_FOR]
  return [
    [(names[j], int(row[j])) for j in best if row[j]]
    for row, best, images in zip(wrong, order, counts.sum(axis=1), strict=True)
    if images
  ]


def worst(
  columns: dict[str, Any], split, config, names: Sequence[str], limit: int
) -> list[dict[str, Any]]:
  """Returns the misclassified images with the highest loss, highest first.

  `columns` and `split` are those that `evaluate.evaluate` returns. Each image
  has 'image' (its name), 'label', 'picture' (a data: URL of the network's
  input) and 'predictions', its top-5 (class name, probability).
  """
  wrong = np.flatnonzero(~predictions.is_correct(columns)[:, 0])
  loss = np.nan_to_num(columns['image_loss'][wrong], nan=np.inf)
  chosen = wrong[np.argsort(-loss, kind='stable')[:limit]]
  positions = [int(columns['position'][i]) for i in chosen]
  crops = pipeline.eval_images(split, config.data, positions)
  classes, probabilities = columns['classes'], columns['probabilities']
  images = list(splits.record_names(split))
  return [
    {
      'image': images[position],
      'labels': [names[x] for x in columns['labels'][i] if x >= 0],
      'picture': pictures.png_url(crops[position]),
      'predictions': [
        (names[c], float(p))
        for c, p in zip(classes[i], probabilities[i], strict=True)
      ],
    }
    for i, position in zip(chosen, positions, strict=True)
  ]
