"""What images are read from: a folder, a list, an archive, an array, a dataset.

  photos/           images in the folder and below it
  photos.zip        likewise; photos.zip/cats is a folder in it
  photos.tar        images in the archive, which is not compressed
  photos.txt        a path on each line, relative to the list; a label after it
                    is ignored
  samples.npy       uint8 [N, H, W, 3], or [N, H, W, 1] for grey
  samples.npz       likewise its array `arr_0`, or else its only one
  SOURCE:SPLIT      a split of a source of `data.sources.registry`, such as
                    cifar:test or tfds:cifar10:test

Images are in the order of their names, lines, members or records.
"""

from collections.abc import Callable
import dataclasses
import os
import re

import numpy as np

from inception_jax.buckets import bucket
from inception_jax.data import places
from inception_jax.data import splits
from inception_jax.data import tar
from inception_jax.data.lazy import tf
from inception_jax.data.sources import folder
from inception_jax.data.sources import ranges
from inception_jax.data.sources import registry
from inception_jax.data.sources.image_tree import ImageTree
from inception_jax.data.sources.image_tree import suffixes
from inception_jax.errors import UserError
from inception_jax.errors import shorten
from inception_jax.fid import arrays
from inception_jax.runtime import files

_DATASET = re.compile(
  r'(?P<source>(tfds:.+?)|[a-z]+):(?P<split>[^:/[]+(\[.*\])?)'
)
# Config keys, as they are in messages → flags of the command.
_FLAGS = {
  '--config.data.dir=': '--data_dir=',
  'data.dir=': '--data_dir=',
  'data.train_split=': 'split ',
  'data.eval_split=': 'split ',
  'data.source=': 'source ',
}
_COMPRESSED = '.tar.gz', '.tgz', '.tar.bz2', '.tar.xz', '.tar.zst'
_EXPECTED = (
  'expected a folder, a .zip, a .tar, a list in .txt, an array in .npy or '
  '.npz, or SOURCE:SPLIT'
)


def cannot_open(word: str, config) -> list[str]:
  """Returns what is wrong with a source, as far as no image tells it.

  Args:
    word: as above.
    config: `data.dir` is where SOURCE:SPLIT lies.
  """
  if dataset := _dataset(word):
    return _in_flags(word, registry.check(_config_of(dataset, config)))
  if bucket.is_url(word):
    return [
      f'{word} is in a bucket: name a SOURCE:SPLIT, as folder:val, whose data '
      'are in --data_dir=gs://…'
    ]
  if not places.exists(word):
    return [f'{word}: no such file or folder']
  if word.endswith(_COMPRESSED):
    return [f'{word} is compressed: unpack it, or make a .tar or .zip of it']
  if places.is_folder(word) or word.endswith(tuple(_FILES)):
    return []
  return [f'{word}: {_EXPECTED}']


def load(word: str, config) -> splits.Split:
  """Opens a source of images that `cannot_open` finds nothing wrong with.

  Raises:
    UserError: it has no images, or cannot be read.
  """
  if dataset := _dataset(word):
    split = registry.load(_config_of(dataset, config), dataset['split'])
    return _without_labels(split)
  if places.is_folder(word):
    return _of_folder(word)
  ending = next(x for x in _FILES if word.endswith(x))
  return _FILES[ending](word)


def _dataset(word: str) -> re.Match | None:
  """Returns 'source' and 'split' of SOURCE:SPLIT that is no path."""
  return None if places.exists(word) else _DATASET.fullmatch(word)


def _config_of(dataset: re.Match, config):
  config = config.copy_and_resolve_references()
  config.data.source = dataset['source']
  config.data.train_split = config.data.eval_split = dataset['split']
  return config


def _in_flags(word: str, faults: list[str]) -> list[str]:
  """Returns faults of a config in the words of the command."""
  for key, flag in _FLAGS.items():
    faults = [fault.replace(key, flag) for fault in faults]
  return [f'{word}: {fault}' for fault in dict.fromkeys(faults)]


def _without_labels(split: splits.Split) -> splits.Split:
  """Returns a split with label 0; those of test splits may be unknown."""
  unlabelled = lambda record: {**record, 'label': tf.zeros((), tf.int64)}
  together = split.together
  if together:
    of_one = together.record
    together = dataclasses.replace(
      together, record=lambda index, read: unlabelled(of_one(index, read))
    )
  return dataclasses.replace(
    split,
    class_names=('',),
    fetch=lambda element: unlabelled(split.fetch(element)),
    labels=None,
    together=together,
  )


def _of_folder(path: str) -> splits.Indexed:
  """Lists the images in a folder or a .zip."""
  tree = ImageTree()
  paths = sorted(entry.path for entry in tree.images(path))
  faults = tree.unreadable
  if not paths and not faults:
    faults = [f'{path} has no images: {", ".join(suffixes())}']
  if not (faults or places.within(path)):
    faults = files.cannot_read(paths)
  if faults:
    raise UserError(*shorten(faults))
  tree.log_left_out()
  return _of_files(paths)


def _of_files(paths: list[str]) -> splits.Indexed:
  return folder.of_files(paths, [0] * len(paths), [''])


def _of_list(path: str) -> splits.Indexed:
  """Reads a list of paths, which may have labels."""
  text = files.read(path).decode('utf-8-sig', 'surrogateescape')
  parent, paths, missing = os.path.dirname(path), [], []
  for line in filter(None, map(str.strip, text.splitlines())):
    # A path may contain spaces.
    names = [line, *line.rsplit(None, 1)[:1]]
    found = (os.path.join(parent, name) for name in names)
    if image := next(filter(os.path.exists, found), ''):
      paths.append(image)
    else:
      missing.append(f'{path}: missing file {line}')
  if missing or not paths:
    raise UserError(*shorten(missing or [f'{path} lists no images']))
  if faults := files.cannot_read(paths):
    raise UserError(*shorten(faults))
  return _of_files(paths)


def _of_tar(path: str) -> splits.Indexed:
  """Indexes the images in an archive, which are read by their offsets."""
  names, rows = [], []
  try:
    with open(path, 'rb', opener=files.regular) as file:
      for member, _ in tar.files(file, 'r:'):
        if member.name.lower().endswith(suffixes()):
          names.append(member.name)
          rows.append((0, member.offset_data, member.size))
  except Exception as error:  # tarfile raises its own and others
    raise UserError(f'{path} cannot be read: {error}') from error
  if not names:
    raise UserError(f'{path} has no images: {", ".join(suffixes())}')
  return ranges.split_of(
    [path],
    np.array(rows, np.int64),
    np.zeros(len(rows), np.int64),
    [''],
    lambda index: f'{path}, {names[index]}',
    str,
    {},
  )


def _of_array(path: str) -> splits.Indexed:
  """Reads the images of an array when they are fetched."""
  images = arrays.read(path)

  def fetch(index):
    image = tf.numpy_function(
      images.__getitem__, [index], tf.uint8, stateful=False
    )
    return {
      'image': tf.ensure_shape(image, images.shape[1:]),
      'label': tf.zeros((), tf.int64),
    }

  name = lambda index: f'{path}, image {index}'
  return splits.Indexed(len(images), ('',), fetch, name)


_FILES: dict[str, Callable[[str], splits.Split]] = {
  '.txt': _of_list,
  '.tar': _of_tar,
  '.npy': _of_array,
  '.npz': _of_array,
}
