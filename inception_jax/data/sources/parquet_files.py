"""Parquet files: images in row groups, which can only be read whole."""

import collections
import functools
import threading
from typing import NamedTuple

import numpy as np

_BATCH = 16  # rows that are decoded at once
_MOST_BYTES = 2**31  # of a row group's images


class Groups(NamedTuple):
  """The row groups of the files of a split.

  Attributes:
    files: int64 [G], the number of each group's file.
    numbers: int64 [G], its number in it.
    starts: int64 [G + 1], the first record of each group, and their count.
  """

  files: np.ndarray
  numbers: np.ndarray
  starts: np.ndarray

  def of(self, records: np.ndarray) -> np.ndarray:
    """Returns the number of each record's group."""
    return np.searchsorted(self.starts, records, side='right') - 1


def schema(path: str):
  """Returns the `pyarrow.Schema` of a file.

  Raises:
    OSError, pyarrow.ArrowException: it is damaged, or no Parquet file.
  """
  with _opened(path) as file:
    return file.schema_arrow


def read(path: str, image: str, label: str):
  """Returns rows and bytes of images of each row group, and the label column.

  Raises:
    OSError, ValueError, pyarrow.ArrowException: it is damaged, or has no such
      column.
  """
  with _opened(path) as file:
    if missing := {image, label} - {*file.schema_arrow.names}:
      raise ValueError(f'it has no column {" and ".join(sorted(missing))}')
    groups = map(file.metadata.row_group, range(file.num_row_groups))
    rows, sizes = [], []
    for group in groups:
      rows.append(group.num_rows)
      columns = map(group.column, range(group.num_columns))
      sizes.append(
        sum(
          column.total_uncompressed_size
          for column in columns
          if column.path_in_schema.partition('.')[0] == image
        )
      )
    if (largest := max(sizes, default=0)) > _MOST_BYTES:
      raise ValueError(
        f'a row group has {largest} bytes of images, at most {_MOST_BYTES} are '
        'read: write it again, with row_group_size=100'
      )
    labels = file.read([label], use_threads=False).column(0)
  if len(labels) != sum(rows):
    raise ValueError(f'it has {len(labels)} labels for {sum(rows)} rows')
  return rows, sizes, labels


def order(groups: Groups, records: np.ndarray, window: int, seed) -> np.ndarray:
  """Returns records in a random order that reads each row group once.

  Row groups are shuffled. Each record then moves back by a random distance of
  up to `window` records, as in a shuffle buffer of that size.

  Args:
    groups: the row groups.
    records: int64 [N], some or all of the records, ascending.
    window: in records.
    seed: two integers, which determine the order.
  """
  generator = np.random.Generator(np.random.Philox(key=np.uint64(seed)))
  group = groups.of(records)
  shuffled = generator.permutation(len(groups.files))
  sizes = np.bincount(group, minlength=len(shuffled))[shuffled]
  starts = np.empty(len(shuffled))
  starts[shuffled] = np.cumsum(sizes) - sizes
  places = starts[group] + window * generator.random(len(records))
  return records[np.argsort(places, kind='stable')]


def num_kept(groups: Groups, window: int) -> int:
  """Returns how many row groups to keep, so that each is read about once.

  By `order`, the records of `window` records' row groups are mixed. A quarter
  more are kept, since it is the least recently used that is dropped: without
  them a tenth is read again, or half where eight hosts share the records.
  """
  return 2 + int(1.25 * window * len(groups.files) / max(groups.starts[-1], 1))


class Reader:
  """Reads images by number, and keeps the row groups that it read last.

  Attributes:
    reads: how many row groups have been read so far.
  """

  def __init__(self, paths: list[str], image: str, groups: Groups, kept: int):
    """Keeps up to `kept` row groups in memory."""
    self.reads = 0
    self._paths, self._image, self._groups = paths, image, groups
    self._most = kept
    self._lock = threading.Lock()
    self._kept: collections.OrderedDict = collections.OrderedDict()

  def __call__(self, record: int) -> tuple[bytes | None, str | None]:
    """Returns an image's bytes, or its path if it is a file of its own.

    Raises:
      OSError, ValueError, pyarrow.ArrowException: it cannot be read.
    """
    group = int(self._groups.of(record))
    row = int(record - self._groups.starts[group])
    with self._lock:
      read = self._kept.pop(group, None) or _once(
        functools.partial(self._read, group)
      )
      self._kept[group] = read
      if len(self._kept) > self._most:
        self._kept.popitem(last=False)
    value = read()[row].as_py()
    if isinstance(value, dict):
      return value.get('bytes'), value.get('path')
    return value, None

  def _read(self, group: int):
    """Returns the images of a row group, a `pyarrow.ChunkedArray`."""
    import pyarrow

    self.reads += 1
    path = self._paths[self._groups.files[group]]
    chunks, size = [], 0
    with _opened(path) as file:
      for batch in file.iter_batches(
        _BATCH,
        [int(self._groups.numbers[group])],
        [self._image],
        use_threads=False,
      ):
        size += batch.nbytes
        if size > _MOST_BYTES:
          raise ValueError(f'a row group of more than {_MOST_BYTES} bytes')
        chunks.append(batch.column(0))
    return pyarrow.chunked_array(chunks)


def _once(function):
  """Returns a function that calls another once, whichever thread asks."""
  lock, results = threading.Lock(), []

  def call():
    with lock:
      if not results:
        results.append(function())
      return results[0]

  return call


def _opened(path: str):
  from pyarrow import parquet

  return parquet.ParquetFile(path)
