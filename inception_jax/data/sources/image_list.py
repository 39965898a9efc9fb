"""List files: a line `relative/path label` for each image.

Paths are relative to the folder of the list; they may have spaces. Labels
count from 0. A class is called as the folder of its images, where it has one
of its own, and otherwise by its number.
"""

import os
import pathlib

from inception_jax import errors

_MOST_CLASSES = 1_000_000


def class_names(where: pathlib.Path) -> list[str]:
  """The names of the classes of a list, by label.

  Raises:
    UserError: labels that are not 0, 1, … without a gap; lines that are none.
  """
  paths, labels = _lines(where)
  folders = {}
  for path, label in zip(paths, labels, strict=True):
    folders.setdefault(label, set()).add(path.split('/')[0] * ('/' in path))
  count = max(folders) + 1
  if missing := [label for label in range(count) if label not in folders]:
    raise errors.UserError(
      *errors.shorten(
        [f'{where}: no image has label {label}' for label in missing]
      )
    )
  names = [folders[label].pop() for label in range(count)]
  # Not one folder for each class: all images in `train/`, for one.
  if any(folders.values()) or len({*names, ''}) <= count:
    return [str(label) for label in range(count)]
  return names


def read(where: pathlib.Path, num_classes: int) -> tuple[list[str], list[int]]:
  """The paths and labels of a list.

  Raises:
    UserError: lines without a label, labels that are no class, files that are
      not there; all of them.
  """
  paths, labels = _lines(where)
  paths = [os.path.join(where.parent, path) for path in paths]
  faults = [
    f'{where}: {path} has label {label}, training has 0 to {num_classes - 1}'
    for path, label in zip(paths, labels, strict=True)
    if label >= num_classes
  ]
  faults += [f'{where}: no file {path}' for path in _missing(paths)]
  if faults:
    raise errors.UserError(*errors.shorten(faults))
  return paths, labels


def _lines(where: pathlib.Path) -> tuple[list[str], list[int]]:
  paths, labels, faults = [], [], []
  with open(where, encoding='utf-8', errors='surrogateescape') as file:
    for number, line in enumerate(file, 1):
      match line.strip().rsplit(None, 1):
        case [path, label] if _is_label(label):
          paths.append(path)
          labels.append(int(label))
        case [*words] if words:
          faults.append(
            f'{where}, line {number}: expected "relative/path label", not '
            f'{line.strip()[:80]!r}'
          )
  if not (paths or faults):
    faults.append(f'{where} names no images')
  if faults:
    raise errors.UserError(*errors.shorten(faults))
  return paths, labels


def _is_label(word: str) -> bool:
  return word.isascii() and word.isdecimal() and int(word) < _MOST_CLASSES


def _missing(paths: list[str]) -> list[str]:
  """Those that are no files; each folder is listed once."""
  there, missing = {}, []
  for path in paths:
    folder, name = os.path.split(path)
    if folder not in there:
      try:
        with os.scandir(folder) as entries:
          there[folder] = {entry.name for entry in entries if entry.is_file()}
      except OSError:
        there[folder] = set()
    if name not in there[folder]:
      missing.append(path)
  return missing
