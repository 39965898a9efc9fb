"""`folder`: images in one folder per class, or listed in a file.

  DIR/train/CLASS/…/image.jpg    DIR/val/CLASS/…/image.jpg
  DIR/train_list.txt             DIR/val_list.txt, of `relative/path label`

With `data.val_fraction`, the evaluation split is a part of the training split,
whose class folders may lie in DIR itself: DIR/CLASS/…/image.jpg.

`data.dir` may also be a .zip of these, which is read in place; a folder in it
that has all else is passed over. And it may be the folder of one split. A list
takes precedence over a folder. Labels follow the sorted class names of `train`
if it exists, so that a label means the same in every split. Names that are all
numbers are sorted as numbers.
"""

from collections.abc import Iterator
import dataclasses
import logging
import os
import pathlib

from inception_jax import inputs
from inception_jax.data import digests
from inception_jax.data import places
from inception_jax.data import splits
from inception_jax.data.lazy import tf
from inception_jax.data.remote import reads
from inception_jax.data.sources import class_folders
from inception_jax.data.sources import held_out
from inception_jax.data.sources import image_list
from inception_jax.data.sources.image_tree import ImageTree
from inception_jax.data.sources.image_tree import suffixes
from inception_jax.data.sources.recognition import Found

log = logging.getLogger(__name__)

TRAIN = 'train'
# Names of the held-out split, as different frameworks write it.
HELD_OUT = ('validation', 'val', 'validation_preprocess')
SPLITS = (TRAIN, 'test', *HELD_OUT)
_LIST = '_list.txt'


def check(config) -> list[str]:
  """Returns a message for each missing folder; reads no image."""
  data = config.data
  if not data.dir:
    return ['data.dir is missing: the folder of the images']
  root = str(_root(data.dir))
  if not places.is_folder(root):
    if places.bucket_of([root]):
      return [f'{data.dir} is an object, and not a folder; unpack archives']
    return [f'data.dir={data.dir!r} is not a folder or a .zip']
  # Of each split that must be there: what to do if it is not.
  advice = {
    'train_split': '',
    'eval_split': '; --config.data.val_fraction=0.1 holds out a tenth of the '
    'images',
  }
  faults = []
  if data.val_fraction:
    del advice['eval_split']
    faults = held_out.check(data, str(_find(data.dir, data.eval_split) or ''))
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
  train = _find(config.data.dir, TRAIN) or where
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


def recognize(path: str) -> Iterator[Found]:
  """Yields what is there; see `recognition`."""
  if not places.is_folder(path):
    return
  for split in SPLITS:
    if where := _find(path, split):
      if where.suffix == '.txt':
        yield Found('folder', path, f'the list {where}')
        return
      if name := class_folders.an_image(where):
        yield Found('folder', path, f'class folders with images such as {name}')
        return
  if name := class_folders.an_image(_root(path), classes=2):
    yield Found('folder', path, f'class folders with images such as {name}')


def expected_layout(config) -> list[str]:
  """Returns what to do where the training split has fewer than two classes."""
  split = config.data.train_split
  train = _find(config.data.dir, TRAIN) or _place(config, split)
  if train.suffix == '.txt':
    return [f'each class has a label of its own in {train}: 0, 1, …']
  return class_folders.expected_layout(train)


def of_files(paths: list[str], labels, class_names) -> splits.Indexed:
  """Returns a split of image files; each is read when it is fetched."""
  if mounted := places.bucket_of(paths):
    return _in_bucket(*mounted, paths, labels, class_names)
  if found := places.reader(paths):
    archive, stored = found
    content = lambda number: tf.ensure_shape(
      tf.numpy_function(archive.read, [number], tf.string, stateful=False), ()
    )
  else:
    # TensorFlow takes bytes: names need not be UTF-8.
    stored, content = list(map(os.fsencode, paths)), tf.io.read_file
  listed = splits.from_arrays(stored, labels, class_names)

  def fetch(index):
    record = listed.fetch(index)
    return {**record, 'image': content(record['image'])}

  return dataclasses.replace(listed, fetch=fetch, name=paths.__getitem__)


def _in_bucket(mounted, numbers, paths, labels, class_names):
  listed = splits.from_arrays(numbers, labels, class_names)
  listed = dataclasses.replace(listed, name=paths.__getitem__)
  known = tf.constant(labels, tf.int64)
  return reads.split_of(
    *(listed, mounted, lambda index: reads.Span(int(numbers[index]))),
    lambda index, content: {'image': content, 'label': tf.gather(known, index)},
  )


def split_names(config) -> list[str]:
  """Returns which of 'train', 'test' and 'validation' exist."""
  names = (TRAIN, 'test', HELD_OUT[0])
  return [name for name in names if _find(config.data.dir, name)]


def _place(config, split: str) -> pathlib.Path | None:
  """Returns the list or folder that has the images of a split.

  With `data.val_fraction`, those of the training split are also held out; its
  class folders may be in `data.dir` itself.
  """
  if not config.data.val_fraction:
    return _find(config.data.dir, split)
  if where := _find(config.data.dir, config.data.train_split):
    return where
  root = _root(config.data.dir)
  is_class = lambda name: name not in SPLITS
  names = class_folders.names(root)
  return root if names and all(map(is_class, names)) else None


def _part(config, split: str, where: pathlib.Path, paths, labels, names):
  """Returns paths and labels of the held-out images, or of all others."""
  folder = where.parent if where.suffix == '.txt' else where
  relative = [path.removeprefix(f'{folder}/') for path in paths]
  kept = held_out.chosen(config.data, split, relative, labels, names)
  return [paths[i] for i in kept], [labels[i] for i in kept]


def _root(data_dir: str) -> pathlib.Path:
  root = pathlib.Path(os.path.abspath(inputs.expand_home(data_dir)))
  return _below_common(root) if root.is_file() else root


def _below_common(root: pathlib.Path) -> pathlib.Path:
  """Returns the folder of an archive that is not all that its parent has."""
  if not places.is_folder(root):
    return root
  files = [e.name for e in places.scan(str(root)) if e.is_file()]
  match ImageTree().subfolders(str(root)):
    case [name] if name not in SPLITS and not any(
      file.lower().endswith((_LIST, *suffixes())) for file in files
    ):
      inside = places.scan(str(root / name))
      if any(e.is_dir() or e.name.endswith(_LIST) for e in inside):
        return _below_common(root / name)
  return root


def _find(data_dir: str, split: str) -> pathlib.Path | None:
  """Returns a split's list or folder; `data.dir` may itself be a split."""
  root = _root(data_dir)
  names = [split, *(HELD_OUT if split in HELD_OUT else ())]
  is_split = root.name in SPLITS
  for folder in (root, root.parent) if is_split else (root,):
    for name in names:
      listed = folder / f'{name}{_LIST}'
      if places.exists(listed) and not places.is_folder(listed):
        return listed
      if places.is_folder(folder / name):
        return folder / name
  return None
