"""What an evaluation said of each image and each class, as files."""

from collections.abc import Sequence
import csv
import io
import json
from typing import Any

from etils import epath
import numpy as np

from inception_jax.config import serialization
from inception_jax.data import splits
from inception_jax.runtime import files

IMAGES = 'predictions.csv'

SUMMARY = 'evaluation.json'


def concatenate(rows: list[dict[str, np.ndarray]], size: int) -> dict[str, Any]:
  """The images that count, out of what `scoring.score` said of the batches.

  Returns:
    'position' in the split and 'labels', 'image_loss', 'classes',
    'probabilities' of each.
  """
  keys = ('labels', 'mask', 'image_loss', 'classes', 'probabilities')
  columns = {key: np.concatenate([row[key] for row in rows]) for key in keys}
  counts = columns.pop('mask')[:size] > 0
  positions = np.arange(size)[counts]
  columns = {key: x[:size][counts] for key, x in columns.items()}
  return {'position': positions, **columns}


def by_class(columns: dict[str, Any], names: Sequence[str]) -> list[dict]:
  """Of each class that has images: 'name', 'count', 'top1' and 'top5'.

  An image that more than one class is right for counts for the first of them.
  """
  own = columns['labels'][:, 0]
  right = is_right(columns)
  lines = []
  for label in np.unique(own):
    of_class = right[own == label]
    lines.append(
      {
        'name': names[label],
        'count': len(of_class),
        'top1': float(of_class[:, 0].mean()),
        'top5': float(of_class.any(axis=1).mean()),
      }
    )
  return lines


def is_right(columns: dict[str, Any]) -> np.ndarray:
  """Whether each of the five guesses is right: bool [images, 5]."""
  guesses, labels = columns['classes'], columns['labels']
  return (guesses[:, :, None] == labels[:, None, :]).any(axis=-1)


def write(
  output: str,
  about: dict[str, Any],
  columns: dict[str, Any],
  split,
  names: Sequence[str],
) -> None:
  """Writes predictions.csv, a line an image, and evaluation.json.

  Args:
    output: the folder.
    about: of the evaluation, for JSON.
    columns: of the images, see `joined`.
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
  images = list(splits.names(split))
  right = is_right(columns)
  for i, position in enumerate(columns['position']):
    labels = [names[x] for x in columns['labels'][i] if x >= 0]
    best = zip(columns['classes'][i], columns['probabilities'][i], strict=True)
    lines.writerow(
      [
        images[position],
        '|'.join(labels),
        f'{columns["image_loss"][i]:.6f}',
        int(right[i, 0]),
        int(right[i].any()),
        *(x for c, p in best for x in (names[c], f'{p:.6f}')),
      ]
    )
  files.replace_text(folder / IMAGES, text.getvalue())
  summary = serialization.nan_to_none(
    {**about, 'classes': by_class(columns, names)}
  )
  text = json.dumps(summary, indent=2, ensure_ascii=False) + '\n'
  files.replace_text(folder / SUMMARY, text)
