"""`tfrecord`: ImageNet as TF-slim's and the TPU recipes' scripts write it.

  DIR/train-00000-of-01024 …    DIR/validation-00000-of-00128 …

Examples with `image/encoded` and `image/class/label`, which counts from
`data.label_offset`, and `image/object/bbox/{xmin,xmax,ymin,ymax}` where there
are any. Where each record begins is found once, from the lengths in the files
alone: records can be had by number then, and none is read in vain.
"""

import logging
import os
import pathlib
import re
import struct

import numpy as np

from inception_jax import errors
from inception_jax.data.splits import Indexed

log = logging.getLogger(__name__)

_SHARD = re.compile(r'(?P<split>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})')

# A record: length, its checksum, the data, their checksum.
_HEADER, _FOOTER = 12, 4

_EDGES = ('ymin', 'xmin', 'ymax', 'xmax')

_BOX = 'image/object/bbox/'


def check(config) -> list[str]:
  """Says which files are missing; reads none."""
  data = config.data
  root = _root(config)
  if not data.dir or not root.is_dir():
    return [f'data.dir={data.dir!r} is no folder']
  faults = []
  for key in ('train_split', 'eval_split'):
    split = getattr(data, key)
    there = _shards(root, split)
    if not there:
      known = sorted({s['split'] for s in _names(root)}) or ['no such files']
      faults.append(
        f'data.{key}={split!r}: no {split}-00000-of-… in {root}; it has '
        f'{", ".join(known)}'
      )
      continue
    counts = {int(shard['count']) for shard in there}
    if len(counts) > 1:
      faults.append(f'{root}: {split} is there in {sorted(counts)} files')
      continue
    found = {int(shard['number']) for shard in there}
    faults += errors.shorten(
      [
        f'{root} lacks {split}-{i:05}-of-{max(counts):05}'
        for i in range(max(counts))
        if i not in found
      ]
    )
  if not config.model.num_classes and _class_names(config) is None:
    faults.append(
      f'{root} has no labels.txt: set --config.model.num_classes, the number '
      'of classes'
    )
  return faults


def load(config, split: str) -> Indexed:
  """Finds where every record begins.

  Raises:
    UserError: files that are cut short, or none but empty ones.
  """
  root = _root(config)
  paths = [str(root / shard[0]) for shard in _shards(root, split)]
  log.info('finding the records of %d files in %s', len(paths), root)
  faults, files, begins, lengths = [], [], [], []
  for number, path in enumerate(paths):
    try:
      begin, length = _records(path)
    except (OSError, ValueError) as error:
      faults.append(f'{path} is damaged: {error}')
      continue
    files.append(np.full(len(begin), number, np.int32))
    begins.append(begin)
    lengths.append(length)
  if not faults and not sum(map(len, files)):
    faults.append(f'{root}: {split} has no records')
  if faults:
    raise errors.UserError(*errors.shorten(faults))
  index = [np.concatenate(x) for x in (files, begins, lengths)]
  return _indexed(config, paths, *index)


def _root(config) -> pathlib.Path:
  return pathlib.Path(os.path.expanduser(config.data.dir))


def _names(root: pathlib.Path) -> list[re.Match]:
  matches = map(_SHARD.fullmatch, sorted(os.listdir(root)))
  return [match for match in matches if match]


def _shards(root: pathlib.Path, split: str) -> list[re.Match]:
  return [match for match in _names(root) if match['split'] == split]


def _class_names(config) -> list[str] | None:
  """The lines of labels.txt; TF-slim's are `number:name`."""
  path = _root(config) / 'labels.txt'
  if not path.is_file():
    return None
  lines = path.read_text(encoding='utf-8').splitlines()
  return [re.sub(r'^\d+:', '', line) for line in lines if line]


def _records(path: str) -> tuple[np.ndarray, np.ndarray]:
  """Where the data of each record begin, and how long they are."""
  begins, lengths = [], []
  size, at = os.path.getsize(path), 0
  with open(path, 'rb') as file:
    while at < size:
      file.seek(at)
      header = file.read(_HEADER)
      length = struct.unpack('<Q', header[:8])[0] if len(header) > 8 else size
      begins.append(at + _HEADER)
      lengths.append(length)
      at += _HEADER + length + _FOOTER
  if at != size:
    raise ValueError(f'its last record ends at {at}, the file at {size}')
  return np.array(begins, np.int64), np.array(lengths, np.int64)


def _indexed(config, paths, files, begins, lengths) -> Indexed:
  import tensorflow as tf

  def read(index):
    # Opened each time: there are often more files than may be open at once.
    with open(paths[files[index]], 'rb') as file:
      file.seek(begins[index])
      return file.read(lengths[index])

  edge = tf.io.VarLenFeature(tf.float32)
  features = {
    'image/encoded': tf.io.FixedLenFeature((), tf.string),
    'image/class/label': tf.io.FixedLenFeature((), tf.int64),
    **{_BOX + name: edge for name in _EDGES},
  }

  def fetch(index):
    record = tf.numpy_function(read, [index], tf.string, stateful=False)
    example = tf.io.parse_single_example(tf.ensure_shape(record, ()), features)
    edges = [tf.sparse.to_dense(example[_BOX + name]) for name in _EDGES]
    return {
      'image': example['image/encoded'],
      'label': example['image/class/label'] - config.data.label_offset,
      'boxes': tf.stack(edges, -1),
    }

  names = _class_names(config)
  count = config.model.num_classes
  if names is None or (count and count != len(names)):
    names = [str(i) for i in range(count)]
  name = lambda i: f'{paths[files[i]]}, byte {begins[i]}'
  return Indexed(len(begins), tuple(names), fetch, name)
