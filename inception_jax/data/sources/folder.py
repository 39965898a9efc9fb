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

import dataclasses
import logging
import os
import pathlib

from inception_jax import inputs
from inception_jax.data import digests
from inception_jax.data import splits
from inception_jax.data.lazy import tf
from inception_jax.data.sources import class_folders
from inception_jax.data.sources import held_out
from inception_jax.data.sources import image_list

log = logging.getLogger(__name__)

TRAIN = 'train'
# Names of the held-out split, as different frameworks write it.
HELD_OUT = ('validation', 'val', 'validation_preprocess')


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
    faults = held_out.check(data, str(_find(config, data.eval_split) or ''))
  missing = [
    f'data.{key}={split!r}: neither a folder {split} nor {split}_list.txt in '
    f'{data.dir}, which contains {class_folders.listing(root)}{what_to_do}'
    for key, what_to_do in advice.items()
    if _place(config, split := data[key]) is None
  ]
  if missing:
    missing += class_folders.other_level(data.dir, root, data.train_split)
  return faults + missing


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
    names = class_folders.names(train)
    if config.data.class_order != 'text':
      names = inputs.sort_classes(names)
  if where.suffix == '.txt':
    paths, labels = image_list.read(where, len(names))
  else:
    rule = class_folders.Rule.REFUSE
    if where != train:
      allowed = config.data.allow_missing_classes
      rule = class_folders.Rule.ALLOW if allowed else class_folders.Rule.ASK
    paths, labels = class_folders.read(where, names, rule)
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


def expected_layout(config) -> list[str]:
  """Returns what to do where the training split has fewer than two classes."""
  train = _find(config, TRAIN) or _place(config, config.data.train_split)
  if train.suffix == '.txt':
    return [f'each class has a label of its own in {train}: 0, 1, …']
  return class_folders.expected_layout(train)


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
  names = class_folders.names(root)
  return root if names and all(map(is_class, names)) else None


def _part(config, split: str, where: pathlib.Path, paths, labels, names):
  """Returns paths and labels of the held-out images, or of all others."""
  folder = where.parent if where.suffix == '.txt' else where
  relative = [path.removeprefix(f'{folder}/') for path in paths]
  kept = held_out.chosen(config.data, split, relative, labels, names)
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
