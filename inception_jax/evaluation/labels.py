"""The correct classes of each image, as outputs of a network."""

from collections.abc import Sequence
import os
import re
import reprlib

import numpy as np

from inception_jax import errors
from inception_jax import inputs
from inception_jax.data import splits
from inception_jax.errors import UserError
from inception_jax.evaluation import outputs as outputs_lib
from inception_jax.runtime import files

_VALIDATION = re.compile(r'ILSVRC2012_val_(\d{8})\.')


class ImageLabels:
  """The correct outputs for each image of a split.

  Attributes:
    names: of the outputs.
    allowed: bool [outputs], those that may be predicted.
    complete: whether every image of the split has a label.
  """

  def __init__(
    self,
    names: int | Sequence[str],
    outputs: Sequence[int] | None = None,
    table: np.ndarray | None = None,
    allowed: np.ndarray | None = None,
  ):
    """Combines labels, outputs and allowed classes.

    Args:
      names: of the outputs, or their number.
      outputs: the output for each label of the split; None: the same number.
      table: int32 [images, M], the correct outputs of each image, padded with
        −1; None: the labels of the split.
      allowed: bool [outputs]; None: all.
    """
    if isinstance(names, int):
      names = [str(i) for i in range(names)]
    self.names = tuple(names)
    if allowed is None:
      allowed = np.ones(len(names), bool)
    self.allowed = allowed
    self.complete = table is None and bool(allowed.all())
    self._outputs = None if outputs is None else np.asarray(outputs, np.int32)
    self._table = table

  def __call__(
    self, positions: np.ndarray, labels: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns the correct outputs of some images.

    Args:
      positions: of the images in the split; padding is past its end.
      labels: int32 [B] of the split.

    Returns:
      int32 [B, M], correct outputs, then −1; bool [B], whether there are any.
    """
    if self._table is None:
      if self._outputs is not None:
        labels = self._outputs[labels]
      correct = labels[:, None]
    else:
      correct = self._table[np.minimum(positions, len(self._table) - 1)]
    correct = np.where((correct >= 0) & self.allowed[correct], correct, -1)
    # Padding goes last.
    order = np.argsort(correct < 0, axis=1, kind='stable')
    correct = np.take_along_axis(correct, order, axis=1)
    return correct.astype(np.int32), correct[:, 0] >= 0


def make_labels(
  split,
  num_outputs: int,
  classes: Sequence[str] = (),
  labels_file: str = '',
  classes_file: str = '',
) -> ImageLabels:
  """Returns the labels of a split as outputs of a network.

  Args:
    split: an `Indexed` or `Sequential` split.
    num_outputs: of the network.
    classes: names of the network's outputs, as far as they are known.
    labels_file: JSON with the correct classes of each image, by name or
      number, in place of the split's labels: a list in the order of the split
      (for ImageNet's validation set in the order of its numbers, as ReaL's
      labels), or an object keyed by image name. Images without a class do not
      count.
    classes_file: one class per line, by name or number: images of other
      classes do not count, and other outputs are not predicted.

  Raises:
    UserError: the files cannot be read or do not fit, or the split has classes
      that the network was not trained on.
  """
  outputs = outputs_lib.match(split.class_names, classes)
  names = list(classes) or list(split.class_names)
  names += [f'output {i}' for i in range(len(names), num_outputs)]
  table = allowed = None
  if labels_file:
    table = _table(_json(labels_file), split, names, labels_file)
  if classes_file:
    allowed = np.zeros(num_outputs, bool)
    allowed[_numbers(_lines(classes_file), names, classes_file)] = True
  return ImageLabels(names, outputs, table, allowed)


def class_names(path: str, number: int) -> tuple[str, ...]:
  """Reads the names of a network's outputs from a file, one per line.

  Raises:
    UserError: it cannot be read, or does not have `number` lines.
  """
  names = tuple(_lines(path))
  if len(names) != number:
    raise UserError(f'{path} names {len(names)} classes, there are {number}')
  return names


def _table(entries, split, names: list[str], where: str) -> np.ndarray:
  images = list(splits.record_names(split))
  if isinstance(entries, dict):
    given = [
      entries.get(name, entries.get(os.path.basename(name), []))
      for name in images
    ]
  elif isinstance(entries, list):
    if len(entries) != len(images):
      raise UserError(
        f'{where} has labels of {len(entries)} images, the split has '
        f'{len(images)}'
      )
    matches = [_VALIDATION.search(name) for name in images]
    numbers = [int(match[1]) - 1 for match in matches if match]
    is_validation_set = sorted(numbers) == list(range(len(images)))
    given = [entries[i] for i in numbers] if is_validation_set else entries
  else:
    raise UserError(f'{where}: expected a list or an object')
  sets = [x if isinstance(x, list) else [x] for x in given]
  if not any(sets):
    raise UserError(f'{where} names no image of the split, such as {images[0]}')
  numbered = iter(_numbers([x for s in sets for x in s], names, where))
  table = np.full((len(sets), max(map(len, sets))), -1, np.int32)
  for row, correct in zip(table, sets, strict=True):
    row[: len(correct)] = [next(numbered) for _ in correct]
  return table


def _numbers(given: list, names: list[str], where: str) -> list[int]:
  """Returns outputs given by name or number; names take precedence."""
  by_name = {name: i for i, name in enumerate(names)}
  numbers, faults = [], {}
  for x in given:
    number = x
    if isinstance(x, str):
      number = by_name[x] if x in by_name else inputs.parse_number(x)
    if type(number) is not int or not 0 <= number < len(names):
      text = x if isinstance(x, str) else reprlib.repr(x)
      faults[f'  {errors.printable(text, 80)}'] = None
    numbers.append(number)
  if faults:
    raise UserError(
      f'{where}: these are not among the {len(names)} classes:',
      *errors.shorten(list(faults)),
    )
  return numbers


def _lines(path: str) -> list[str]:
  lines = [line.strip() for line in _text(path).splitlines()]
  if not (lines := [line for line in lines if line]):
    raise UserError(f'{path} names no class')
  return lines


def _json(path: str):
  try:
    return inputs.parse_json(_text(path))
  except ValueError as error:
    raise UserError(f'{path} is not JSON: {error}') from error


def _text(path: str) -> str:
  try:
    return files.read(path).decode()
  except (OSError, UnicodeDecodeError) as error:
    reason = getattr(error, 'strerror', None) or 'not UTF-8'
    raise UserError(f'{path} cannot be read: {reason}') from error
