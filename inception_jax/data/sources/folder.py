"""`folder`: images in one folder per class, or listed in a file.

  DIR/train/CLASS/…/image.jpg    DIR/val/CLASS/…/image.jpg
  DIR/train_list.txt             DIR/val_list.txt, of `relative/path label`

With `data.val_fraction`, the evaluation split is a part of the training split,
whose class folders may lie in DIR itself: DIR/CLASS/…/image.jpg.

`data.dir` may also be the folder of one split. A list takes precedence over a
folder. Labels follow the sorted class names of `train` if it exists, so that a
label means the same in every split. Names that are all numbers are sorted as
numbers.
"""

from collections.abc import Iterator
import dataclasses
import logging
import os
import pathlib

import numpy as np

from inception_jax import errors
from inception_jax import inputs
from inception_jax.data import digests
from inception_jax.data import splits
from inception_jax.data.lazy import tf
from inception_jax.data.sources import held_out
from inception_jax.data.sources import image_list
from inception_jax.runtime import files

log = logging.getLogger(__name__)

SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif')
TRAIN = 'train'
# Names of the held-out split, as different frameworks write it.
HELD_OUT = ('validation', 'val', 'validation_preprocess')
_MOST_NAMES = 6


def check(config) -> list[str]:
  """Returns a message for each missing folder; reads no image."""
  data = config.data
  if not data.dir:
    return ['data.dir is missing: the folder of the images']
  root = inputs.expand_home(data.dir)
  if not os.path.isdir(root):
    return [f'data.dir={data.dir!r} is not a folder']
  # Of each split that must be there: what to do if it is not.
  advice = {
    'train_split': '',
    'eval_split': '; --config.data.val_fraction=0.1 holds out a tenth of the '
    'images',
  }
  faults = []
  if data.val_fraction:
    del advice['eval_split']
    where = _find(config, data.eval_split)
    if data.eval_split == data.train_split:
      faults.append(
        f'data.eval_split={data.eval_split!r} is data.train_split: the images '
        'that data.val_fraction holds out need another name, such as val'
      )
    elif where:
      faults.append(
        f'data.val_fraction={data.val_fraction}, but the split '
        f'{data.eval_split} exists: {where}; set one of both'
      )
  return faults + [
    f'data.{key}={split!r}: neither a folder {split} nor {split}_list.txt in '
    f'{data.dir}, which contains {_listing(root)}{what_to_do}'
    for key, what_to_do in advice.items()
    if _place(config, split := data[key]) is None
  ]


def load(config, split: str) -> splits.Indexed:
  """Lists the files of a split; each image is read when it is fetched.

  Raises:
    UserError: all classes without images or unknown to training, or all
      malformed lines, labels out of range and missing files of a list, or all
      images that are pipes, sockets, devices or links to nothing.
  """
  where = _place(config, split)
  log.info('listing %s', where)
  train = _find(config, TRAIN) or where
  if train.suffix == '.txt':
    names = image_list.class_names(train)
  else:
    names = _subfolders(train)
    if config.data.class_order != 'text':
      names = inputs.sort_classes(names)
  if where.suffix == '.txt':
    paths, labels = image_list.read(where, len(names))
  else:
    paths, labels = _of_classes(where, names)
  if config.data.val_fraction:
    paths, labels = _part(config, split, where, paths, labels, names)

  def digest():
    # Relative names, since hosts may have the folder in different places.
    start = len(str(where.parent)) + 1
    names = [path[start:] for path in paths]
    return digests.digest(
      names, digests.sizes(paths), labels, digests.ends(paths)
    )

  return dataclasses.replace(of_files(paths, labels, names), digest=digest)


def of_files(paths: list[str], labels, class_names) -> splits.Indexed:
  """Returns a split of image files; each is read when it is fetched."""
  # TensorFlow takes bytes: names need not be UTF-8.
  names = list(map(os.fsencode, paths))
  listed = splits.from_arrays(names, labels, class_names)

  def fetch(index):
    record = listed.fetch(index)
    return {**record, 'image': tf.io.read_file(record['image'])}

  return dataclasses.replace(listed, fetch=fetch, name=paths.__getitem__)


def split_names(config) -> list[str]:
  """Returns which of 'train', 'test' and 'validation' exist."""
  names = (TRAIN, 'test', HELD_OUT[0])
  return [name for name in names if _find(config, name)]


def _place(config, split: str) -> pathlib.Path | None:
  """Returns the list or folder that has the images of a split.

  With `data.val_fraction`, those of the training split are also held out; its
  class folders may be in `data.dir` itself.
  """
  if not config.data.val_fraction:
    return _find(config, split)
  if where := _find(config, config.data.train_split):
    return where
  root = _root(config)
  is_class = lambda name: name not in (TRAIN, 'test', *HELD_OUT)
  names = _subfolders(root)
  return root if names and all(map(is_class, names)) else None


def _part(config, split: str, where: pathlib.Path, paths, labels, names):
  """Returns paths and labels of the held-out images, or of all others."""
  folder = where.parent if where.suffix == '.txt' else where
  relative = [path.removeprefix(f'{folder}/') for path in paths]
  chosen = held_out.mask(relative, labels, names, config.data.val_fraction)
  if split == config.data.train_split:
    chosen = ~chosen
  kept = np.flatnonzero(chosen)
  log.info('%s: %d of %d images', split, len(kept), len(paths))
  return [paths[i] for i in kept], [labels[i] for i in kept]


def _root(config) -> pathlib.Path:
  return pathlib.Path(os.path.abspath(inputs.expand_home(config.data.dir)))


def _find(config, split: str) -> pathlib.Path | None:
  """Returns a split's list or folder; `data.dir` may itself be a split."""
  root = _root(config)
  names = [split, *(HELD_OUT if split in HELD_OUT else ())]
  is_split = root.name in (TRAIN, 'test', *HELD_OUT)
  for folder in (root, root.parent) if is_split else (root,):
    for name in names:
      listed = folder / f'{name}_list.txt'
      if listed.exists() and not listed.is_dir():
        return listed
      if (folder / name).is_dir():
        return folder / name
  return None


def _listing(folder: str) -> str:
  """Describes the contents of a folder, for messages."""
  names = sorted(os.listdir(folder))
  more = len(names) - _MOST_NAMES
  some = ', '.join(names[:_MOST_NAMES]) or 'nothing'
  return f'{some} and {more} more' if more > 0 else some


def _subfolders(folder: pathlib.Path) -> list[str]:
  with os.scandir(folder) as entries:
    return sorted(
      e.name
      for e in entries
      if files.kind(e) == 'folder' and not e.name.startswith('.')
    )


def _of_classes(where: pathlib.Path, names: list[str]):
  """Returns the paths and labels of a folder with one subfolder per class."""
  subfolders = set(_subfolders(where))
  if not subfolders:
    raise errors.UserError(
      f'{where} has no class folders; it contains {_listing(str(where))}'
    )
  problems = [
    f'{where / name}: the training split has no class of this name'
    for name in sorted(subfolders - set(names))
  ]
  paths, labels = [], []
  for label, name in enumerate(names):
    images = list(_images(str(where / name)))
    if not images:
      problems.append(f'{where / name}: the class has no images')
    # Reading a pipe would wait without end.
    problems += files.cannot_read(
      e.path for e in images if files.kind(e) != 'file'
    )
    paths += [e.path for e in images]
    labels += [label] * len(images)
  if problems:
    raise errors.UserError(*errors.shorten(problems))
  return paths, labels


def _images(folder: str) -> Iterator[os.DirEntry]:
  """Yields the images in a folder and below it, sorted within each folder."""
  seen, ahead = set(), [folder]
  while ahead:
    where = ahead.pop()
    # A symbolic link to a parent folder would be followed without end.
    if (real := os.path.realpath(where)) in seen or not os.path.isdir(where):
      continue
    seen.add(real)
    try:
      with os.scandir(where) as entries:
        entries = [e for e in entries if not e.name.startswith('.')]
    except OSError as error:
      raise errors.UserError(
        f'{where} cannot be read: {error.strerror}'
      ) from error
    entries.sort(key=lambda entry: entry.name)
    folders = {e.path for e in entries if files.kind(e) == 'folder'}
    ahead += sorted(folders, reverse=True)
    for entry in entries:
      if entry.name.lower().endswith(SUFFIXES) and entry.path not in folders:
        yield entry
