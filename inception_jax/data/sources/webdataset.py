"""`webdataset`: images and labels in .tar shards.

  DIR/train-000000.tar …    DIR/val-000000.tar …    or in folders of their own

A sample is the consecutive files of one name up to its first dot: `KEY.jpg`
and its label, a number from 0 on, in `KEY.cls` or as `label` in `KEY.json`.
An index of the samples is built from the headers in the shards, so that images
can be read by number.
"""

from collections.abc import Iterator
from concurrent import futures
import contextlib
import itertools
import logging
import os
import pathlib
from typing import NamedTuple

import numpy as np

from inception_jax import errors
from inception_jax import inputs
from inception_jax.data import digests
from inception_jax.data.sources import class_folders
from inception_jax.data.sources import held_out
from inception_jax.data.sources import image_tree
from inception_jax.data.sources import ranges
from inception_jax.data.sources import webdataset_files
from inception_jax.data.sources.recognition import Found
from inception_jax.data.splits import Indexed
from inception_jax.runtime import files as files_lib

log = logging.getLogger(__name__)

_NAMES = 'classnames.txt'
_FIELDS = 'label', 'cls'  # of KEY.json
_SPLITS = ('train', 'val', 'validation', 'test')
_MOST_CLASSES = 1_000_000
_MOST_BYTES = 2**20  # of a label's file
_MOST_FAULTS = 10  # of a shard
_THREADS = 16  # that wait for the headers


class _Sample(NamedTuple):
  """A sample: its image's name, offset and size, and its label."""

  name: str
  offset: int
  size: int
  label: int


def recognize(path: str) -> Iterator[Found]:
  """Yields what is there; see `recognition`."""
  root = pathlib.Path(path)
  shards = sorted(root.glob('[!.]*.tar')) or sorted(root.glob('*/[!.]*.tar'))
  with contextlib.suppress(OSError, ValueError, StopIteration):
    if shards and next(_samples(str(shards[0]))):
      yield Found('webdataset', path, f'the shard {shards[0]}')


def check(config) -> list[str]:
  """Returns a message for each missing shard; reads no sample."""
  data = config.data
  root = _root(config)
  if not data.dir or not root.is_dir():
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


def _index(paths: list[str]) -> list[list[_Sample]]:
  """Returns the samples of each shard, or raises a UserError of all faults."""
  if faults := files_lib.cannot_read(paths):
    raise errors.UserError(*errors.shorten(faults))
  log.info('indexing %d shards, from %s on', len(paths), paths[0])
  faults = []

  def indexed(path):
    try:
      return list(_samples(path))
    except (OSError, ValueError) as error:
      faults.append(f'{path}: {error}')
      return []

  # While one reads a header, which takes a while over a network, others do.
  with futures.ThreadPoolExecutor(_THREADS) as pool:
    samples = list(pool.map(indexed, paths))
  if faults:
    raise errors.UserError(*errors.shorten(sorted(faults)))
  return samples


def _samples(path: str) -> Iterator[_Sample]:
  """Yields the samples of a shard.

  Raises:
    OSError, ValueError: it is damaged, or has samples that are none.
  """
  with open(path, 'rb', opener=files_lib.regular) as file:
    read = lambda at, count: os.pread(file.fileno(), count, at)
    named = (_split_name(*member) for member in webdataset_files.members(file))
    for key, group in itertools.groupby(filter(None, named), lambda x: x[0]):
      yield _sample(key, list(group), read)


def _split_name(name: str, offset: int, size: int):
  """Returns key, ending, offset and size; None for what is in no sample."""
  folder, _, base = name.rpartition('/')
  stem, dot, ending = base.partition('.')
  if not (stem and dot) or base.startswith('__'):
    return None
  return f'{folder}/{stem}'.lstrip('/'), ending.lower(), offset, size


def _sample(key: str, members: list, read) -> _Sample:
  """Returns a sample of its files: key, ending, offset and size of each."""
  endings = [ending for _, ending, _, _ in members]
  listed = ', '.join(f'.{ending}' for ending in endings[:_MOST_FAULTS])
  images = [m for m in members if f'.{m[1]}' in image_tree.suffixes()]
  if len(images) != 1 or len({*endings}) < len(endings):
    kind = 'no image' if not images else 'more than one image or label'
    raise ValueError(f'{key} has {kind}: its files are {listed}')
  files = {ending: (offset, size) for _, ending, offset, size in members}
  for ending in ('cls', 'json'):
    if ending not in files:
      continue
    offset, size = files[ending]
    if size > _MOST_BYTES:
      raise ValueError(f'{key}.{ending} has {size} bytes')
    label = _label(read(offset, size), ending == 'json')
    if label is None or label >= _MOST_CLASSES:
      raise ValueError(
        f'{key}.{ending} is no label: it should be a number from 0 on'
        + (f', as {" or ".join(_FIELDS)}' if ending == 'json' else '')
      )
    _, ending, offset, size = images[0]
    return _Sample(f'{key}.{ending}', offset, size, label)
  raise ValueError(f'{key} has no label, .cls or .json: its files are {listed}')


def _label(content: bytes, is_json: bool) -> int | None:
  """Returns the label in a file of a sample; None if there is none."""
  if not is_json:
    return inputs.parse_number(content.decode('ascii', 'replace').strip())
  try:
    value = inputs.parse_json(content)
  except ValueError:
    return None
  if not isinstance(value, dict):
    return None
  label = next((value[x] for x in _FIELDS if x in value), None)
  return label if type(label) is int and label >= 0 else None


def _class_names(config, split: str, labels: np.ndarray) -> list[str]:
  """Returns the class names; without a list of them, they are numbers."""
  path = _root(config) / _NAMES
  count = config.model.num_classes
  if path.is_file():
    content = files_lib.read(str(path), _MOST_BYTES)
    text = content.decode('utf-8-sig', 'backslashreplace')
    return [line for line in text.splitlines() if line.strip()]
  if not count:
    train = config.data.train_split
    if split != train and (paths := _shards(config, train)):
      parts = _index(paths)
      labels = np.array([s.label for part in parts for s in part], np.int64)
    count = int(labels.max(initial=0)) + 1
  return list(map(str, range(count)))
