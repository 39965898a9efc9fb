"""One folder per class, with its images in it and below it."""

import enum
import itertools
import logging
import pathlib

from inception_jax import errors
from inception_jax.data import places
from inception_jax.data.sources.image_tree import ImageTree
from inception_jax.runtime import files

log = logging.getLogger(__name__)

_MOST_NAMES = 6
_MOST_TRIED = 20


class Rule(enum.Enum):
  """What becomes of a class without images; ASK names the key to allow it."""

  REFUSE = enum.auto()
  ASK = enum.auto()
  ALLOW = enum.auto()


def names(where: pathlib.Path) -> list[str]:
  """Returns the sorted names of the folders in one that are not hidden.

  Raises:
    UserError: the folder cannot be read.
  """
  tree = ImageTree()
  found = tree.subfolders(str(where))
  if tree.unreadable:
    raise errors.UserError(*tree.unreadable)
  return found


def read(where: pathlib.Path, classes: list[str], rule: Rule):
  """Returns the paths and labels of a folder with one subfolder per class.

  Args:
    where: the folder.
    classes: names of the classes, in the order of the labels.
    rule: for classes without images.

  Raises:
    UserError: classes without images or not in `classes`, folders that cannot
      be read, and images that are pipes, sockets, devices or links to nothing.
  """
  tree = ImageTree()
  subfolders = set(tree.subfolders(str(where)))
  if not (subfolders or tree.unreadable):
    raise errors.UserError(
      f'{where} has no class folders; it contains {listing(str(where))}'
    )
  problems = [
    f'{where / name}: the training split has no class of this name'
    for name in sorted(subfolders - set(classes))
  ]
  paths, labels, empty = [], [], []
  for label, name in enumerate(classes):
    folder = str(where / name)
    unreadable = len(tree.unreadable)
    images = list(tree.images(folder)) if name in subfolders else []
    if not images and len(tree.unreadable) == unreadable:
      empty.append(folder)
    # Reading a pipe would wait without end.
    problems += files.cannot_read(
      e.path for e in images if files.kind(e) != 'file'
    )
    paths += [e.path for e in images]
    labels += [label] * len(images)
  tree.log_left_out()
  problems += tree.unreadable
  if rule is Rule.ALLOW and len(empty) < len(classes):
    for folder in empty:
      log.warning('%s: the class has no images', folder)
  else:
    problems += [f'{folder}: the class has no images' for folder in empty]
    if rule is Rule.ASK and empty:
      problems.append(
        '--config.data.allow_missing_classes=True evaluates without them'
      )
  if problems:
    raise errors.UserError(*errors.shorten(problems))
  return paths, labels


def an_image(where: pathlib.Path, classes: int = 1) -> str:
  """Returns an image if so many of the first folders have some; else ''."""
  tree = ImageTree()
  names = tree.subfolders(str(where))[:_MOST_TRIED]
  images = (tree.nearest_image(str(where / name)) for name in names)
  found = list(itertools.islice(filter(None, images), classes))
  return found[0] if len(found) == classes else ''


def listing(folder: str) -> str:
  """Describes the contents of a folder, for messages."""
  names = sorted(entry.name for entry in places.scan(folder))
  more = len(names) - _MOST_NAMES
  some = ', '.join(names[:_MOST_NAMES]) or 'nothing'
  return f'{some} and {more} more' if more > 0 else some


def expected_layout(train: pathlib.Path) -> list[str]:
  """Returns what to do where a folder has fewer than two class folders."""
  lines = [f'each class has a folder of its own: {train}/CLASS/IMAGE.jpg']
  for name in names(train):
    if len(inside := names(train / name)) > 1:
      lines.append(
        f'{train / name} has {len(inside)} folders, such as {inside[0]}: if '
        f'these are the classes, move them to {train}'
      )
  return lines


def other_level(data_dir: str, root: str, split: str) -> list[str]:
  """Returns a line if the classes seem to lie above or below `data.dir`."""
  tree = ImageTree()
  folders = tree.subfolders(root)
  if not folders and next(tree.images(root), None):
    return [
      f'{data_dir} has images and no folders: data.dir is a folder of class '
      f'folders, or one with the folder {split}'
    ]
  has_split = lambda name: places.is_folder(f'{root}/{name}/{split}')
  inside = list(filter(has_split, folders))
  return [
    f'{data_dir}/{name} has a folder {split}: is it '
    f'--config.data.dir={data_dir}/{name}?'
    for name in inside[:1]
  ]
