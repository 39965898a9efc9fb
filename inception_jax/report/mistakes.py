"""What was taken for what, and the worst mistakes as pictures."""

import base64
from collections.abc import Sequence
import io
from typing import Any

import numpy as np

from inception_jax.data import pipeline
from inception_jax.data import splits
from inception_jax.evaluation import predictions

_PAIRS = 15


def confusion(
  columns: dict[str, Any], names: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
  """Images of each class that were taken for each.

  Returns:
    int [N, N], and the names of these classes: those that have images, or were
    guessed.
  """
  from sklearn import metrics

  own, taken = columns['labels'][:, 0], columns['classes'][:, 0]
  used = np.union1d(own, taken)
  counts = metrics.confusion_matrix(own, taken, labels=used)
  return counts, [names[i] for i in used]


def pairs(counts: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
  """What was mistaken most often: 'is', 'taken_for', 'count', 'share'."""
  wrong = counts * (1 - np.eye(len(counts), dtype=int))
  order = np.argsort(-wrong, axis=None, kind='stable')[:_PAIRS]
  found = [np.unravel_index(i, wrong.shape) for i in order]
  return [
    {
      'is': names[i],
      'taken_for': names[j],
      'count': int(wrong[i, j]),
      'share': wrong[i, j] / counts[i].sum(),
    }
    for i, j in found
    if wrong[i, j]
  ]


def worst(
  columns: dict[str, Any], split, config, names: Sequence[str], most: int
) -> list[dict[str, Any]]:
  """The images that what is right was least probable of.

  Returns:
    'image' (its name), 'label', 'picture' (a data: URL of what the network
    saw) and 'guesses', (class, probability) pairs.
  """
  wrong = np.flatnonzero(~predictions.is_right(columns)[:, 0])
  loss = np.nan_to_num(columns['image_loss'][wrong], nan=np.inf)
  chosen = wrong[np.argsort(-loss, kind='stable')[:most]]
  positions = [int(columns['position'][i]) for i in chosen]
  pictures = pipeline.eval_pictures(split, config, positions)
  name_of = {
    position: name
    for position, name in enumerate(splits.names(split))
    if position in pictures
  }
  return [
    {
      'image': name_of[position],
      'label': ', '.join(names[x] for x in columns['labels'][i] if x >= 0),
      'picture': _data_url(pictures[position]),
      'guesses': [
        (names[c], float(p))
        for c, p in zip(
          columns['classes'][i], columns['probabilities'][i], strict=True
        )
      ],
    }
    for i, position in zip(chosen, positions, strict=True)
  ]


def _data_url(image: np.ndarray) -> str:
  """A PNG of uint8 [S, S, 1 or 3]."""
  from PIL import Image

  file = io.BytesIO()
  Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(
    file, 'png'
  )
  return 'data:image/png;base64,' + base64.b64encode(file.getvalue()).decode()
