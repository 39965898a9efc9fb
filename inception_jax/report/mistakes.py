"""Confusion counts, and the images with the worst mistakes."""

import base64
from collections.abc import Sequence
import io
from typing import Any

import numpy as np

from inception_jax.data import pipeline
from inception_jax.data import splits
from inception_jax.evaluation import predictions

_MOST_PAIRS = 15


def confusion(
  columns: dict[str, Any], names: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
  """Counts images by label and prediction.

  Returns:
    int [N, N], labels in rows and predictions in columns, and the names of the
    N classes that occur as either.
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
  pairs = [np.unravel_index(i, wrong.shape) for i in order]
  return [
    {
      'label': names[i],
      'predicted': names[j],
      'count': int(wrong[i, j]),
      'fraction': wrong[i, j] / counts[i].sum(),
    }
    for i, j in pairs
    if wrong[i, j]
  ]


def worst(
  columns: dict[str, Any], split, config, names: Sequence[str], limit: int
) -> list[dict[str, Any]]:
  """Returns the misclassified images with the highest loss, highest first.

  Args:
    columns: per-image predictions, as `evaluate.evaluate` returns them.
    split: that was evaluated.
    config: the whole config.
    names: of the classes.
    limit: the most images to return.

  Returns:
    For each, 'image' (its name), 'label', 'picture' (a data: URL of the
    network's input) and 'predictions', its top-5 (class name, probability).
  """
  wrong = np.flatnonzero(~predictions.is_correct(columns)[:, 0])
  loss = np.nan_to_num(columns['image_loss'][wrong], nan=np.inf)
  chosen = wrong[np.argsort(-loss, kind='stable')[:limit]]
  positions = [int(columns['position'][i]) for i in chosen]
  pictures = pipeline.eval_images(split, config.data, positions)
  name_of = {
    position: name
    for position, name in enumerate(splits.record_names(split))
    if position in pictures
  }
  return [
    {
      'image': name_of[position],
      'label': ', '.join(names[x] for x in columns['labels'][i] if x >= 0),
      'picture': _data_url(pictures[position]),
      'predictions': [
        (names[c], float(p))
        for c, p in zip(
          columns['classes'][i], columns['probabilities'][i], strict=True
        )
      ],
    }
    for i, position in zip(chosen, positions, strict=True)
  ]


def _data_url(image: np.ndarray) -> str:
  """Encodes uint8 [S, S, 1 or 3] as a data: URL of a PNG."""
  from PIL import Image

  file = io.BytesIO()
  Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(
    file, 'png'
  )
  return 'data:image/png;base64,' + base64.b64encode(file.getvalue()).decode()
