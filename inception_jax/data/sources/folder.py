"""`folder`: images in a folder for each class, or as a list file names them.

  DIR/train/CLASS/…/image.jpg    DIR/val/CLASS/…/image.jpg
  DIR/train_list.txt             DIR/val_list.txt, of `relative/path label`

`data.dir` may be the folder of one split, too. A list goes before the folder
of its name. Classes are numbered in the order of their names, those of `train`
where it is there, so that a label means the same in every split.
"""

from collections.abc import Iterator
import logging
import os
import pathlib

from inception_jax import errors
from inception_jax.data.sources import image_list
from inception_jax.data.splits import Indexed

log = logging.getLogger(__name__)

SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif')

TRAIN = 'train'

# What the systems that wrote these folders call the held-out images.
HELD_OUT = ('validation', 'val', 'validation_preprocess')

_MOST_NAMES = 6


def check(config) -> list[str]:
  """Says which folder is missing; reads no image."""
  data = config.data
  if not data.dir:
    return ['data.dir is missing: the folder of the images']
  root = os.path.expanduser(data.dir)
  if not os.path.isdir(root):
    return [f'data.dir={data.dir!r} is no folder']
  return [
    f'data.{key}={split!r}: neither a folder {split} nor {split}_list.txt in '
    f'{data.dir}; it has {_listing(root)}'
    for key, split in (
      ('train_split', data.train_split),
      ('eval_split', data.eval_split),
    )
    if _find(config, split) is None
  ]


def load(config, split: str) -> Indexed:
  """Lists a split; images are read when they are asked for.

  Raises:
    UserError: classes without images or that training does not know, lines of
      a list that name no file or no class; all of them.
  """
  where = _find(config, split)
  log.info('listing %s', where)
  train = _find(config, TRAIN) or where
  if train.suffix == '.txt':
    names = image_list.class_names(train)
  else:
    names = _subfolders(train)
  if where.suffix == '.txt':
    paths, labels = image_list.read(where, len(names))
  else:
    paths, labels = _of_classes(where, names)
  return _indexed(paths, labels, names)


def splits(config) -> list[str]:
  """Of the usual names those that are there; the held-out images have one."""
  held_out = ('test', HELD_OUT[0])
  return [name for name in (TRAIN, *held_out) if _find(config, name)]


def _indexed(paths: list[str], labels: list[int], names) -> Indexed:
  import tensorflow as tf

  # Once, outside of the graph that reads them.
  files, numbers = tf.constant(paths), tf.constant(labels, tf.int64)

  def fetch(index):
    return {
      'image': tf.io.read_file(tf.gather(files, index)),
      'label': tf.gather(numbers, index),
    }

  return Indexed(len(paths), tuple(names), fetch, paths.__getitem__)


def _find(config, split: str) -> pathlib.Path | None:
  """The folder or the list of a split; `data.dir` may be a split itself."""
  root = pathlib.Path(os.path.abspath(os.path.expanduser(config.data.dir)))
  names = [split, *(HELD_OUT if split in HELD_OUT else ())]
  roots = [root]
  if root.name in (TRAIN, 'test', *HELD_OUT):
    roots.append(root.parent)
  for folder in roots:
    for name in names:
      if (folder / f'{name}_list.txt').is_file():
        return folder / f'{name}_list.txt'
      if (folder / name).is_dir():
        return folder / name
  return None


def _listing(folder: str) -> str:
  names = sorted(os.listdir(folder))
  more = len(names) - _MOST_NAMES
  some = ', '.join(names[:_MOST_NAMES]) or 'nothing'
  return f'{some} and {more} more' if more > 0 else some


def _subfolders(folder: pathlib.Path) -> list[str]:
  with os.scandir(folder) as entries:
    return sorted(
      e.name for e in entries if e.is_dir() and not e.name.startswith('.')
    )


def _of_classes(where: pathlib.Path, names: list[str]):
  """Paths and labels of a folder that has one for each class."""
  own = set(_subfolders(where))
  if not own:
    raise errors.UserError(
      f'{where} has no folders of classes; it has {_listing(str(where))}'
    )
  faults = [
    f'{where / name}: training has no class of this name'
    for name in sorted(own - set(names))
  ]
  paths, labels = [], []
  for label, name in enumerate(names):
    images = list(_images(str(where / name)))
    if not images:
      faults.append(f'{where / name}: the class has no images')
    paths += images
    labels += [label] * len(images)
  if faults:
    raise errors.UserError(*errors.shorten(faults))
  return paths, labels


def _images(folder: str) -> Iterator[str]:
  """The images in a folder and all below it, in the order of their names."""
  seen = set()
  for where, folders, files in os.walk(folder, followlinks=True):
    # A link to a folder above would never end.
    if (real := os.path.realpath(where)) in seen:
      folders.clear()
      continue
    seen.add(real)
    folders[:] = sorted(name for name in folders if not name.startswith('.'))
    for name in sorted(files):
      if name.lower().endswith(SUFFIXES) and not name.startswith('.'):
        yield os.path.join(where, name)
