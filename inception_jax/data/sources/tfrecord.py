"""`tfrecord`: ImageNet as the scripts of TF-slim and the TPU recipes write it.

  DIR/train-00000-of-01024 …    DIR/validation-00000-of-00128 …

The examples have `image/encoded`, `image/class/label`, which starts at
`data.label_offset`, and optionally `image/object/bbox/{xmin,xmax,ymin,ymax}`.
An index of the records is built once from the lengths in the files, so that
records can be read by number. Each is compared with its checksum.
"""

from collections.abc import Iterator
import logging
import os
import pathlib
import re

import numpy as np

from inception_jax import errors
from inception_jax import inputs
from inception_jax.data import digests
from inception_jax.data import places
from inception_jax.data.lazy import tf
from inception_jax.data.remote import reads
from inception_jax.data.remote.index import Table
from inception_jax.data.sources import tfrecord_files
from inception_jax.data.sources.recognition import Found
from inception_jax.data.splits import Indexed

log = logging.getLogger(__name__)

_SHARD = re.compile(r'(?P<split>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})')
_EDGES = [f'image/object/bbox/{e}' for e in ('ymin', 'xmin', 'ymax', 'xmax')]


def check(config) -> list[str]:
  """Returns a message for each missing file; reads no record."""
  data = config.data
  root = _root(config)
  if not data.dir or not places.is_unpacked(root):
    return [f'data.dir={data.dir!r} is not a folder']
  problems = []
  for key in ('train_split', 'eval_split'):
    split = getattr(data, key)
    shards = _shards(root, split)
    counts = sorted({int(shard['count']) for shard in shards})
    if not shards:
      known = sorted({s['split'] for s in _shards(root)}) or ['none']
      problems.append(
        f'data.{key}={split!r}: no {split}-00000-of-… in {root}; its splits: '
        f'{", ".join(known)}'
      )
    elif len(counts) > 1:
      problems.append(
        f'{root}: the files of {split} belong to sets of {counts} files'
      )
    else:
      expected = [f'{split}-{i:05}-of-{counts[0]:05}' for i in range(counts[0])]
      missing = sorted({*expected} - {shard[0] for shard in shards})
      problems += errors.shorten([f'{root} lacks {name}' for name in missing])
  if not config.model.num_classes and _class_names(config) is None:
    problems.append(
      f'{root} has no labels.txt: set --config.model.num_classes, the number '
      'of classes'
    )
  return problems


def recognize(path: str) -> Iterator[Found]:
  """Yields what is there; see `recognition`."""
  root = pathlib.Path(path)
  # That of tfds, whose shards have other records.
  if places.is_unpacked(root) and not places.exists(root / 'dataset_info.json'):
    for shard in _shards(root)[:1]:
      yield Found('tfrecord', path, f'the TFRecord file {shard[0]}')


def load(config, split: str) -> Indexed:
  """Indexes the records of a split.

  Raises:
    UserError: truncated or unreadable files, or no records.
  """
  root = _root(config)
  paths = [str(root / shard[0]) for shard in _shards(root, split)]
  if faults := places.cannot_read(paths):
    raise errors.UserError(*errors.shorten(faults))
  log.info('indexing the records of %d files in %s', len(paths), root)
  tables = places.tables(paths, 'records', _records)
  problems = [
    f'{path} is damaged: {table}'
    for path, table in zip(paths, tables, strict=True)
    if isinstance(table, Exception)
  ]
  if not problems and not any(len(table.rows) for table in tables):
    problems.append(f'{root}: {split} has no records')
  if problems:
    raise errors.UserError(*errors.shorten(problems))
  rows = [np.insert(t.rows, 0, i, axis=1) for i, t in enumerate(tables)]
  return _indexed(config, paths, np.concatenate(rows))


def _root(config) -> pathlib.Path:
  return pathlib.Path(inputs.expand_home(config.data.dir))


def _shards(root: pathlib.Path, split: str | None = None) -> list[re.Match]:
  """Returns the matches of a split's files, or of those of every split."""
  names = sorted(entry.name for entry in places.scan(str(root)))
  matches = map(_SHARD.fullmatch, names)
  return [m for m in matches if m and split in (None, m['split'])]


def _class_names(config) -> list[str] | None:
  """Reads labels.txt if there is one; TF-slim's lines are `number:name`."""
  path = _root(config) / 'labels.txt'
  if not places.exists(path) or places.is_folder(path):
    return None
  with places.open_file(str(path)) as file:
    lines = file.read().decode('utf-8', 'backslashreplace').splitlines()
  return [re.sub(r'^\d+:', '', line) for line in lines if line]


def _records(path: str) -> Table:
  """Returns what `tfrecord_files.index` does, of a local file."""
  with open(path, 'rb', buffering=0) as file:
    read = lambda at, count: os.pread(file.fileno(), count, at)
    found = tfrecord_files.index(read, os.fstat(file.fileno()).st_size)
  return Table(found, [])


def _indexed(config, paths: list[str], records: np.ndarray) -> Indexed:
  """Returns the split of records int64 [N, 4]: file, offset, length, CRC."""
  shards, rows = tf.constant(paths), tf.constant(records[:, :2])
  features = {
    'image/encoded': tf.io.FixedLenFeature((), tf.string),
    'image/class/label': tf.io.FixedLenFeature((), tf.int64),
    **dict.fromkeys(_EDGES, tf.io.VarLenFeature(tf.float32)),
  }

  def fetch(index):
    row = tf.gather(rows, index)
    record = tfrecord_files.record(tf.gather(shards, row[0]), row[1])
    return parse(record.get_single_element())

  def parse(record):
    example = tf.io.parse_single_example(record, features)
    edges = [tf.sparse.to_dense(example[name]) for name in _EDGES]
    return {
      'image': example['image/encoded'],
      'label': example['image/class/label'] - config.data.label_offset,
      'boxes': tf.stack(edges, -1),
    }

  names = _class_names(config)
  count = config.model.num_classes
  if names is None or (count and count != len(names)):
    names = [str(i) for i in range(count)]
  name = lambda i: f'{paths[records[i, 0]]}, byte {records[i, 1]}'
  files = [os.path.basename(path) for path in paths]
  digest = lambda: digests.digest(files, records)
  split = Indexed(len(records), tuple(names), fetch, name, digest)
  if not (found := places.bucket_of(paths)):
    return split
  mounted, numbers = found
  return reads.split_of(
    *(split, mounted, lambda i: _span(int(numbers[records[i, 0]]), records[i])),
    lambda _, content: parse(tfrecord_files.check(content)),
    tfrecord_files.unframe,
  )


def _span(number: int, row: np.ndarray) -> reads.Span:
  """Returns where a record and its checksums are in an object."""
  _, offset, length, _ = row.tolist()
  return reads.Span(number, *tfrecord_files.frame(offset, length))
