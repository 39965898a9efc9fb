"""List files: a line `relative/path label` for each image.

Paths are relative to the list's folder and may contain spaces. Labels start at
0. Where each class has a folder of its own, that is its name; otherwise its
number is.
"""

import os
import pathlib

from inception_jax import errors
from inception_jax import inputs
from inception_jax.runtime import files

_MOST_CLASSES = 1_000_000


def class_names(where: pathlib.Path) -> list[str]:
  """Returns the class names of a list, by label.

  Raises:
    UserError: missing labels below the largest one, or malformed lines.
  """
  paths, labels = _lines(where)
  folders = {}
  for path, label in zip(paths, labels, strict=True):
    folders.setdefault(label, set()).add(path.split('/')[0] * ('/' in path))
  count = max(folders) + 1
  problems = [
    f'{where}: no image has label {label}'
    for label in range(count)
    if label not in folders
  ]
  if problems:
    raise errors.UserError(*errors.shorten(problems))
  names = [folders[label].pop() for label in range(count)]
  # A class has several folders, or shares one: all images in `train/`, say.
  if any(folders.values()) or len({*names, ''}) <= count:
    return [str(label) for label in range(count)]
  return names


def read(where: pathlib.Path, num_classes: int) -> tuple[list[str], list[int]]:
  """Returns the paths and labels of a list.

  Raises:
    UserError: malformed lines, labels out of range, and missing files.
  """
  paths, labels = _lines(where)
  paths = [os.path.join(where.parent, path) for path in paths]
  problems = [
    f'{where}: {path} has label {label}, training has 0 to {num_classes - 1}'
    for path, label in zip(paths, labels, strict=True)
    if label >= num_classes
  ]
  problems += [
    f'{where}: not a regular file: {path}'
    if os.path.exists(path)
    else f'{where}: missing file {path}'
    for path in _missing(paths)
  ]
  if problems:
    raise errors.UserError(*errors.shorten(problems))
  return paths, labels


def _lines(where: pathlib.Path) -> tuple[list[str], list[int]]:
  """Parses a list into paths, as they are written there, and labels."""
  paths, labels, problems = [], [], []
  if faults := files.cannot_read([where]):
    raise errors.UserError(*faults)
  with open(
    where,
    encoding='utf-8',
    errors='surrogateescape',
    opener=files.regular,
  ) as file:
    for number, line in enumerate(file, 1):
      match line.strip().rsplit(None, 1):
        case [path, label] if _is_label(label):
          paths.append(path)
          labels.append(int(label))
        case [*words] if words:
          problems.append(
            f'{where}, line {number}: expected "relative/path label", not '
            f'{line.strip()[:80]!r}'
          )
  if not (paths or problems):
    problems.append(f'{where} lists no images')
  if problems:
    raise errors.UserError(*errors.shorten(problems))
  return paths, labels


def _is_label(word: str) -> bool:
  label = inputs.parse_number(word)
  return label is not None and label < _MOST_CLASSES


def _missing(paths: list[str]) -> list[str]:
  """Returns the paths that are not files, with one listing per folder."""
  listed, missing = {}, []
  for path in paths:
    folder, name = os.path.split(path)
    if folder not in listed:
      try:
        with os.scandir(folder) as entries:
          listed[folder] = {e.name for e in entries if files.kind(e) == 'file'}
      except (OSError, ValueError):  # the latter: a null character
        listed[folder] = set()
    if name not in listed[folder]:
      missing.append(path)
  return missing
