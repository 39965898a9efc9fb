"""List files: a line `relative/path label` for each image.

Paths are relative to the list's folder, or to the split's folder in it, and may
contain spaces. Labels start at 0. Where each class has a folder of its own,
that is its name; otherwise its number is.
"""

from collections.abc import Callable
import io
import os
import pathlib

from inception_jax import errors
from inception_jax import inputs
from inception_jax.data import places
from inception_jax.runtime import files

_MOST_CLASSES = 1_000_000


def class_names(where: pathlib.Path) -> list[str]:
  """Returns the class names of a list, by label.

  Raises:
    UserError: missing labels below the largest one, or malformed lines.
  """
  paths, labels = _lines(where)
  count = max(labels) + 1
  known = set(labels)
  problems = [
    f'{where}: no image has label {label}'
    for label in range(count)
    if label not in known
  ]
  if problems:
    raise errors.UserError(*errors.shorten(problems))
  folders = [path.split('/')[:-1] for path in paths]
  columns = [len(set(column)) for column in zip(*folders, strict=False)]
  depth = next((i for i, n in enumerate(columns) if n > 1), len(columns))
  # The image's own folder; that at one depth, for images in folders below it;
  # and all folders, where a name like "outdoor" is that of several classes.
  ways = [lambda parts: parts[-1] if parts else '']
  ways += [lambda p, i=i: p[i] for i in range(depth, len(columns))]
  ways.append(lambda parts: '/'.join(parts[depth:]))
  for name_of in ways:
    if names := _unique_names(folders, labels, name_of):
      return names
  _check_unmixed(where, paths, labels)
  return [str(label) for label in range(count)]


def _unique_names(
  folders: list[list[str]], labels: list[int], name_of: Callable
) -> list[str]:
  """Returns the name of each label, or [] unless each has one of its own."""
  pairs = {*zip(labels, map(name_of, folders), strict=True)}
  names = [name for _, name in sorted(pairs)]
  count = max(labels) + 1
  return names if len(names) == count == len({*names} - {''}) else []


def _check_unmixed(where, paths: list[str], labels: list[int]) -> None:
  """Raises if folders are classes, but several are of the same label.

  A folder with images of several labels is no class, and the others are not
  expected to be.
  """
  first, label_of, problems = {}, {}, []
  for path, label in zip(paths, labels, strict=True):
    folder = os.path.dirname(path)
    if label_of.setdefault(folder, label) != label:
      return
    line = f'{path} {label}'
    before = first.setdefault(label, (folder, line))
    if before[0] != folder and not any(before[1] in x for x in problems):
      problems.append(
        f'{where}: images of one class are in two folders, which name it: '
        f'{before[1]!r} and {line!r}; give each class one folder, or all '
        'classes the same'
      )
  if problems:
    raise errors.UserError(*errors.shorten(problems))


def read(where: pathlib.Path, num_classes: int) -> tuple[list[str], list[int]]:
  """Returns the paths and labels of a list.

  Raises:
    UserError: malformed lines, labels out of range, and missing files.
  """
  paths, labels = _lines(where)
  # Some lists are relative to the split's folder beside them.
  folders = [where.parent, where.parent / where.stem.removesuffix('_list')]
  folders = [x for x in folders if places.exists(os.path.join(x, paths[0]))]
  folder = [*folders, where.parent][0]
  paths = [os.path.join(folder, path) for path in paths]
  if places.within(str(where)):  # which has no business with other files
    places.reader([str(where), *paths])
  problems = [
    f'{where}: {path} has label {label}, training has 0 to {num_classes - 1}'
    for path, label in zip(paths, labels, strict=True)
    if label >= num_classes
  ]
  problems += [
    f'{where}: not a regular file: {path}'
    if places.exists(path)
    else f'{where}: missing file {path}'
    for path in _missing(paths)
  ]
  if problems:
    raise errors.UserError(*errors.shorten(problems))
  return paths, labels


def _lines(where: pathlib.Path) -> tuple[list[str], list[int]]:
  """Parses a list into paths, as they are written there, and labels."""
  paths, labels, problems = [], [], []
  try:
    file = places.open_file(str(where))
  except OSError as error:
    raise errors.UserError(
      f'{where} cannot be read: {error.strerror}'
    ) from error
  with io.TextIOWrapper(
    file,
    encoding='utf-8-sig',  # editors on Windows write a byte-order mark
    errors='surrogateescape',
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
        entries = places.scan(folder)
        listed[folder] = {e.name for e in entries if files.kind(e) == 'file'}
      except (OSError, ValueError):  # the latter: a null character
        listed[folder] = set()
    if name not in listed[folder]:
      missing.append(path)
  return missing
