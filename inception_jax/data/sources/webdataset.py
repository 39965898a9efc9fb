"""`webdataset`: images and labels in .tar shards.

  DIR/train-000000.tar …    DIR/val-000000.tar …    or in folders of their own

A sample is the consecutive files of one name up to its first dot: `KEY.jpg`
and its label, a number from 0 on, in `KEY.cls` or as `label` in `KEY.json`.
An index of the samples is built from the headers in the shards, so that images
can be read by number.
"""

from collections.abc import Iterator
import contextlib
import logging
import os
import pathlib

import numpy as np

from inception_jax import errors
from inception_jax import inputs
from inception_jax.data import digests
from inception_jax.data import places
from inception_jax.data.sources import class_folders
from inception_jax.data.sources import held_out
from inception_jax.data.sources import ranges
from inception_jax.data.sources import webdataset_files
from inception_jax.data.sources import webdataset_samples
from inception_jax.data.sources.recognition import Found
from inception_jax.data.sources.webdataset_samples import Sample
from inception_jax.data.splits import Indexed

log = logging.getLogger(__name__)

_NAMES = 'classnames.txt'
_SPLITS = ('train', 'val', 'validation', 'test')
_MOST_BYTES = 2**20
_MOST_FAULTS = 10  # of a shard


def recognize(path: str) -> Iterator[Found]:
  """Yields what is there; see `recognition`."""
  root = pathlib.Path(path)
  if not places.is_unpacked(root):
    return
  with contextlib.suppress(OSError, ValueError, StopIteration):
    shards = webdataset_files.nearest(root)
    # One in a bucket would have to be read to its end.
    if shards and (
      places.bucket_of(shards) or next(webdataset_samples.samples(shards[0]))
    ):
      yield Found('webdataset', path, f'the shard {shards[0]}')


def check(config) -> list[str]:
  """Returns a message for each missing shard; reads no sample."""
  data = config.data
  root = _root(config)
  if not data.dir or not places.is_unpacked(root):
    return [f'data.dir={data.dir!r} is not a folder']
  where = webdataset_files.find(root, data.eval_split) or ['']
  faults = held_out.check(data, where[0]) if data.val_fraction else []
  for key in held_out.split_keys(data):
    split = data[key]
    if paths := _shards(config, split):
      faults += webdataset_files.missing(paths)
    else:
      faults.append(
        f'data.{key}={split!r}: no shards {split}-000000.tar … in {root}, '
        f'which contains {class_folders.listing(str(root))}; a pattern names '
        'others: '
        f"--config.data.{key}='shard-{{000000..000127}}.tar'"
      )
  return faults


def load(config, split: str) -> Indexed:
  """Indexes the samples of a split.

  Raises:
    UserError: damaged or unreadable shards, samples without an image or a
      label, or with several, and labels out of range.
  """
  stored = held_out.stored_split(config.data, split)
  paths = _shards(config, stored)
  root = _root(config)
  samples = _index(paths)
  if not any(samples):
    raise errors.UserError(f'{root}: {split} has no samples')
  rows = np.array(
    [(i, s.offset, s.size) for i, part in enumerate(samples) for s in part],
    np.int64,
  )
  labels = np.array([s.label for part in samples for s in part], np.int64)
  members = [sample.name for part in samples for sample in part]
  names = _class_names(config, stored, labels)
  wrong = np.flatnonzero(labels >= len(names))
  if len(wrong):
    raise errors.UserError(
      *errors.shorten(
        [
          f'{paths[rows[i, 0]]}: {members[i]} has label {labels[i]}, expected '
          f'0 to {len(names) - 1}'
          for i in wrong
        ],
        _MOST_FAULTS,
      )
    )
  kept = held_out.chosen(config.data, split, members, labels, names)
  rows, labels = rows[kept], labels[kept]

  def digest():
    known = [os.path.basename(path) for path in paths]
    known += [members[i] for i in kept]
    return digests.digest(known, rows, labels, digests.ends(paths))

  def name(index):
    return f'{paths[rows[index, 0]]}, {members[kept[index]]}'

  return ranges.split_of(paths, rows, labels, names, name, digest, {})


def split_names(config) -> list[str]:
  """Returns which splits of the usual names there are."""
  root = _root(config)
  return [name for name in _SPLITS if webdataset_files.find(root, name)]


def _root(config) -> pathlib.Path:
  return pathlib.Path(os.path.abspath(inputs.expand_home(config.data.dir)))


def _shards(config, split: str) -> list[str]:
  """Returns the shards of a split; all, where a part of them is held out."""
  root = _root(config)
  found = webdataset_files.find(root, split)
  if found or not config.data.val_fraction:
    return found
  return webdataset_files.shards(root)


def _index(paths: list[str]) -> list[list[Sample]]:
  """Returns the samples of each shard, or raises a UserError of all faults."""
  if faults := places.cannot_read(paths):
    raise errors.UserError(*errors.shorten(faults))
  log.info('indexing %d shards, from %s on', len(paths), paths[0])
  tables = places.tables(paths, 'samples', webdataset_samples.table)
  if faults := [
    f'{path}: {table}'
    for path, table in zip(paths, tables, strict=True)
    if isinstance(table, Exception)
  ]:
    raise errors.UserError(*errors.shorten(sorted(faults)))
  return [webdataset_samples.of_table(table) for table in tables]


def _class_names(config, split: str, labels: np.ndarray) -> list[str]:
  """Returns the class names; without a list of them, they are numbers."""
  path = _root(config) / _NAMES
  count = config.model.num_classes
  if places.exists(path) and not places.is_folder(path):
    with places.open_file(str(path)) as file:
      content = file.read(_MOST_BYTES)
    text = content.decode('utf-8-sig', 'backslashreplace')
    return [line for line in text.splitlines() if line.strip()]
  if not count:
    train = config.data.train_split
    if split != train and (paths := _shards(config, train)):
      parts = _index(paths)
      labels = np.array([s.label for part in parts for s in part], np.int64)
    count = int(labels.max(initial=0)) + 1
  return list(map(str, range(count)))
