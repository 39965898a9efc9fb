"""Which images are held out for evaluation: `data.val_fraction`."""

from collections.abc import Sequence
import hashlib
import logging
import math
import unicodedata

import numpy as np

from inception_jax import errors

log = logging.getLogger(__name__)


def check(data, where: str) -> list[str]:
  """Returns what is wrong with the names of the splits.

  Args:
    data: `config.data`.
    where: the evaluation split that should not exist; '': it does not.
  """
  if not data.val_fraction:
    return []
  if data.eval_split == data.train_split:
    return [
      f'data.eval_split={data.eval_split!r} is data.train_split: the images '
      'that data.val_fraction holds out need another name, such as val'
    ]
  if where:
    return [
      f'data.val_fraction={data.val_fraction}, but the split '
      f'{data.eval_split} exists: {where}; set one of both'
    ]
  return []


def split_keys(data) -> tuple[str, ...]:
  """Returns the keys of `config.data` whose splits have to exist."""
  return (
    ('train_split',) if data.val_fraction else ('train_split', 'eval_split')
  )


def stored_split(data, split: str) -> str:
  """Returns the name of the split that the images of `split` are in."""
  return data.train_split if data.val_fraction else split


def chosen(
  data,
  split: str,
  names: Sequence[str],
  labels: Sequence[int],
  class_names: Sequence[str],
) -> np.ndarray:
  """Returns which images belong to a split: their numbers, int64, ascending.

  Without `data.val_fraction`, all of them. Otherwise as `mask`.
  """
  if not data.val_fraction:
    return np.arange(len(names))
  kept = mask(names, labels, class_names, data.val_fraction)
  if split == data.train_split:
    kept = ~kept
  numbers = np.flatnonzero(kept)
  log.info('%s: %d of %d images', split, len(numbers), len(names))
  return numbers


def mask(
  names: Sequence[str],
  labels: Sequence[int],
  class_names: Sequence[str],
  fraction: float,
) -> np.ndarray:
  """Returns which images are held out: bool [N].

  It depends on an image's name alone, so that it is the same on every machine
  and whatever other images there are; a larger fraction holds out more of them.

  Args:
    names: of the images, such as 'cat/1.jpg'.
    labels: theirs.
    class_names: by label.
    fraction: that is held out, above 0 and below 1.

  Raises:
    UserError: all or none of a class's images would be held out.
  """
  places = np.fromiter(map(_place, names), np.float64, len(names))
  chosen = places < fraction
  labels, count = np.asarray(labels), len(class_names)
  total = np.bincount(labels, minlength=count)
  held = np.bincount(labels[chosen], minlength=count)
  if faults := [
    f'data.val_fraction={fraction} holds out {held[i]} of the {total[i]} '
    f'image(s) of class {class_names[i]}'
    for i in np.flatnonzero((held == 0) | (held == total))
  ]:
    advice = _advice(places, labels, count)
    raise errors.UserError(*errors.shorten(faults), advice)
  return chosen


def _place(name: str) -> float:
  """Returns a number in 0…1 that looks random, a function of the name."""
  # macOS may decompose a letter with an accent.
  name = unicodedata.normalize('NFC', name)
  data = name.encode('utf-8', 'surrogateescape')
  return int.from_bytes(hashlib.sha256(data).digest()[:6]) / 2**48


def _advice(places: np.ndarray, labels: np.ndarray, count: int) -> str:
  """Names the fractions that leave each class images on both sides."""
  low, high = np.ones(count), np.zeros(count)
  np.minimum.at(low, labels, places)
  np.maximum.at(high, labels, places)
  least = math.floor(1000 * low.max() + 1) / 1000
  most = math.floor(1000 * high.min()) / 1000
  if least > most:
    return 'no fraction gives each class images to train and to evaluate on'
  return f'each class has images on both sides from {least} to {most}'
