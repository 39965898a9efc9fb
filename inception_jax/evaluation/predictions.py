"""Predictions of each image and accuracy of each class, as files."""

from collections.abc import Sequence
import csv
import io
import json
from typing import Any

from etils import epath
import numpy as np

from inception_jax import errors
from inception_jax.config import serialization
from inception_jax.data import splits
from inception_jax.runtime import files

IMAGES = 'predictions.csv'
SUMMARY = 'evaluation.json'


def concatenate(
  batches: list[dict[str, np.ndarray]], size: int
) -> dict[str, Any]:
  """Concatenates the per-image results of batches; drops what does not count.

  Args:
    batches: as `scoring.score` returns them.
    size: of the split.

  Returns:
    Of each image that counts 'position' in the split, 'labels', 'image_loss',
    'classes' and 'probabilities'.
  """
  keys = ('labels', 'mask', 'image_loss', 'classes', 'probabilities')
  columns = {key: np.concatenate([row[key] for row in batches]) for key in keys}
  counts = columns.pop('mask')[:size] > 0
  positions = np.arange(size)[counts]
  columns = {key: x[:size][counts] for key, x in columns.items()}
  return {'position': positions, **columns}


def by_class(columns: dict[str, Any], names: Sequence[str]) -> list[dict]:
  """Returns 'name', 'count', 'top1' and 'top5' of each class with images.

  An image with several correct classes counts for the first of them.
  """
  first = columns['labels'][:, 0]
  correct = is_correct(columns)
  lines = []
  for label in np.unique(first):
    of_class = correct[first == label]
    lines.append(
      {
        'name': names[label],
        'count': len(of_class),
        'top1': float(of_class[:, 0].mean()),
        'top5': float(of_class.any(axis=1).mean()),
      }
    )
  return lines


def is_correct(columns: dict[str, Any]) -> np.ndarray:
  """Returns whether each of the top-5 classes is correct: bool [images, 5]."""
  guesses, labels = columns['classes'], columns['labels']
  return (guesses[:, :, None] == labels[:, None, :]).any(axis=-1)


def write(
  output: str,
  summary: dict[str, Any],
  columns: dict[str, Any],
  split,
  names: Sequence[str],
) -> None:
  """Writes predictions.csv, one line per image, and evaluation.json.

  Args:
    output: the folder.
    summary: of the evaluation, for evaluation.json.
    columns: of the images, see `concatenate`.
    split: that was evaluated.
    names: of the outputs.
  """
  folder = epath.Path(output)
  folder.mkdir(parents=True, exist_ok=True)
  text = io.StringIO()
  lines = csv.writer(text)
  guesses = columns['classes'].shape[1]
  numbers = range(1, guesses + 1)
  lines.writerow(
    ['image', 'label', 'loss', 'top1', 'top5']
    + [f'{kind}_{n}' for n in numbers for kind in ('class', 'probability')]
  )
  images = list(map(errors.printable, splits.record_names(split)))
  names = list(map(errors.printable, names))
  correct = is_correct(columns)
  for i, position in enumerate(columns['position']):
    labels = [names[x] for x in columns['labels'][i] if x >= 0]
    best = zip(columns['classes'][i], columns['probabilities'][i], strict=True)
    lines.writerow(
      [
        images[position],
        '|'.join(labels),
        f'{columns["image_loss"][i]:.6f}',
        int(correct[i, 0]),
        int(correct[i].any()),
        *(x for c, p in best for x in (names[c], f'{p:.6f}')),
      ]
    )
  files.atomic_write(folder / IMAGES, text.getvalue())
  summary = serialization.nan_to_none(
    {**summary, 'classes': by_class(columns, names)}
  )
  text = json.dumps(summary, indent=2, ensure_ascii=False) + '\n'
  files.atomic_write(folder / SUMMARY, text)
