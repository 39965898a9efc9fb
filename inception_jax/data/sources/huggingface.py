"""`huggingface`: datasets of Hugging Face's `datasets` and hub, on disk.

  DIR/train/state.json, data-00000-of-00002.arrow, …    as save_to_disk writes
  DIR/data/train-00000-of-00002.parquet, …              as on the hub
  DIR/train/0000.parquet, …

Images of Arrow files are read by offset. Of Parquet, only row groups can be
read, a hundred images or more: training shuffles the row groups, and mixes the
images of neighbours as a buffer of `data.shuffle_buffer` images does.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import functools
import logging
import os
import pathlib

import numpy as np

from inception_jax import errors
from inception_jax import inputs
from inception_jax.data import digests
from inception_jax.data.lazy import tf
from inception_jax.data.sources import arrow_columns
from inception_jax.data.sources import arrow_files
from inception_jax.data.sources import held_out
from inception_jax.data.sources import huggingface_files
from inception_jax.data.sources import parquet_files
from inception_jax.data.sources import ranges
from inception_jax.data.sources.recognition import Found
from inception_jax.data.splits import Sequential
from inception_jax.data.splits import Split
from inception_jax.runtime import files as files_lib

log = logging.getLogger(__name__)

_TRAIN = 'train'
_MOST_BYTES = 2**29  # of row groups that are kept in memory


def recognize(path: str) -> Iterator[Found]:
  """Yields what is there; see `recognition`."""
  if os.path.isdir(path):
    try:
      names = ', '.join(huggingface_files.splits(pathlib.Path(path)))
    except errors.UserError:  # opening it says what is wrong
      names = 'one that cannot be read'
    if names:
      why = f'a dataset in Arrow or Parquet files, with the splits {names}'
      yield Found('huggingface', path, why)


def check(config) -> list[str]:
  """Returns a message for each missing file; reads no record."""
  data = config.data
  root = _root(config)
  if not data.dir or not root.is_dir():
    return [f'data.dir={data.dir!r} is not a folder']
  found = huggingface_files.splits(root)
  faults = held_out.check(data, found.get(data.eval_split, [''])[0])
  for key in held_out.split_keys(data):
    split = data[key]
    if split in found:
      faults += huggingface_files.missing(found[split])
    else:
      faults.append(
        f'data.{key}={split!r}: no {split}/*.arrow, {split}/*.parquet or '
        f'data/{split}-00000-of-….parquet in {root}; its splits: '
        f'{", ".join(found) or "none"}'
      )
  return faults


def load(config, split: str) -> Split:
  """Opens a split, and reads its labels.

  Raises:
    UserError: damaged files, no images or labels in them, or labels that are
      missing or out of range.
  """
  root = _root(config)
  found = huggingface_files.splits(root)
  paths = found[held_out.stored_split(config.data, split)]
  train = found.get(_TRAIN, paths)
  if faults := files_lib.cannot_read([*paths, train[0]]):
    raise errors.UserError(*errors.shorten(faults))
  is_arrow = paths[0].endswith('.arrow')
  log.info('reading the labels of %d files in %s', len(paths), root)
  columns = _columns(train)
  if (own := _columns(paths)) != columns:
    raise errors.UserError(
      f'{paths[0]}: {own.image}, {own.label} {own.names} are other columns or '
      f'classes than in {train[0]}: {columns.image}, {columns.label} '
      f'{columns.names}'
    )
  read = arrow_files.read if is_arrow else parquet_files.read
  parts = _each(paths, lambda path: read(path, columns.image, columns.label))
  where = f'{root}: {split}'
  values = _values([part[-1] for part in parts], where)
  if not len(values):
    raise errors.UserError(f'{where} has no images')
  names = arrow_columns.class_names(
    columns, _train_values(columns, values, paths, train), where
  )
  labels = arrow_columns.labels(values, names, columns, where)
  counts = [len(part[-1]) for part in parts]
  starts = np.cumsum([0, *counts])

  def name(record):
    file = int(np.searchsorted(starts, record, side='right')) - 1
    return f'{paths[file]}, row {int(record) - starts[file]}'

  numbers = list(map(str, range(len(values))))
  kept = held_out.chosen(config.data, split, numbers, labels, names)
  files = [os.path.basename(path) for path in paths]

  def digest():
    sizes, ends = digests.sizes(paths), digests.ends(paths)
    return digests.digest(files, counts, kept, labels, sizes, ends)

  shared = (paths, parts, labels, names, kept, name, digest)
  if is_arrow:
    return _arrow(root, *shared)
  if config.data.sampling:
    raise errors.UserError(
      f'data.sampling={config.data.sampling!r}: the images of Parquet files '
      'are read in groups; convert them: datasets.load_dataset("parquet", '
      'data_dir=…).save_to_disk(…)'
    )
  return _parquet(root, config.data.shuffle_buffer, columns.image, *shared)


def split_names(config) -> list[str]:
  """Returns the names of the splits that are there."""
  return list(huggingface_files.splits(_root(config)))


def _root(config) -> pathlib.Path:
  return pathlib.Path(os.path.abspath(inputs.expand_home(config.data.dir)))


def _each(paths: Sequence[str], function) -> list:
  """Returns a function of each file; raises a UserError of all damaged ones."""
  import pyarrow

  results, faults = [], []
  for path in paths:
    try:
      results.append(function(path))
    except errors.UserError:
      raise
    except (OSError, ValueError, pyarrow.ArrowException) as error:
      faults.append(f'{path} cannot be read: {errors.one_line(error)}')
  if faults:
    raise errors.UserError(*errors.shorten(faults))
  return results


def _columns(paths: list[str]) -> arrow_columns.Columns:
  """Returns the columns that the files of a split have."""
  path = paths[0]
  kind = arrow_files if path.endswith('.arrow') else parquet_files
  (schema,) = _each([path], kind.schema)
  info = huggingface_files.read_json(
    os.path.join(os.path.dirname(path), 'dataset_info.json')
  )
  return arrow_columns.find(schema, path, info)


def _values(parts: list, where: str) -> np.ndarray:
  return np.concatenate([arrow_columns.numbers(part, where) for part in parts])


def _train_values(columns, values, paths, train) -> np.ndarray:
  """Returns the values of the training split's label column."""
  if columns.names or paths == train:
    return values
  kind = arrow_files if train[0].endswith('.arrow') else parquet_files
  read = lambda path: kind.read(path, columns.image, columns.label)[-1]
  return _values(_each(train, read), train[0])


def _arrow(root, paths, parts, labels, names, kept, name, digest):
  """Returns the split of images in Arrow streams."""
  rows = [np.insert(p.ranges, 0, i, axis=1) for i, p in enumerate(parts)]
  rows = np.concatenate(rows)
  others, faults, start = [], {}, 0
  for part in parts:
    for row, path in part.paths.items():
      try:
        others.append(huggingface_files.inside(root, path))
        rows[start + row] = (len(paths) + len(others) - 1, 0, ranges.WHOLE_FILE)
      except ValueError as error:
        faults[start + row] = str(error)
    start += len(part.ranges)
  place = {int(record): i for i, record in enumerate(kept)}
  faults = {place[i]: why for i, why in faults.items() if i in place}
  return ranges.split_of(
    *([*paths, *others], rows[kept], labels[kept], names),
    *(lambda index: name(kept[index]), digest, faults),
  )


def _parquet(
  root, window, image, paths, parts, labels, names, kept, name, digest
) -> Sequential:
  """Returns the split of images in Parquet files."""
  rows = np.concatenate([part[0] for part in parts]).astype(np.int64)
  size = sum(sum(part[1]) for part in parts)
  # The window has at most that many bytes, too.
  window = min(window, _MOST_BYTES * len(labels) // max(size, 1), len(labels))
  groups = parquet_files.Groups(
    np.repeat(np.arange(len(paths)), [len(part[0]) for part in parts]),
    np.concatenate([np.arange(len(part[0])) for part in parts]),
    np.cumsum([0, *rows]),
  )
  most = parquet_files.num_kept(groups, window)
  log.info(
    'shuffling %d row groups within %d images; up to %d MB of memory',
    *(len(rows), window, most * size / len(rows) / 1e6),
  )
  reader = parquet_files.Reader(paths, image, groups, most)
  known = tf.constant(labels, tf.int64)
  order = functools.partial(parquet_files.order, groups, kept, window)

  def read(record):
    content, path = reader(int(record))
    if content is None:
      return files_lib.read(huggingface_files.inside(root, path))
    return content

  def epoch(seed):
    if seed is None:
      return tf.data.Dataset.from_tensor_slices(kept)
    records = ranges.by_python(order, seed, tf.int64)
    records = tf.ensure_shape(records, (len(kept),))
    return tf.data.Dataset.from_tensor_slices(records)

  def fetch(record):
    return {
      'image': tf.ensure_shape(ranges.by_python(read, record, tf.string), ()),
      'label': tf.gather(known, record),
    }

  return Sequential(
    len(kept), tuple(names), epoch, fetch, name, digest, labels[kept]
  )
