"""The samples in a shard of a WebDataset."""

from collections.abc import Iterator
import itertools
import os
from typing import NamedTuple

import numpy as np

from inception_jax import inputs
from inception_jax.data.remote.index import Table
from inception_jax.data.sources import image_tree
from inception_jax.data.sources import webdataset_files
from inception_jax.runtime import files as files_lib

_FIELDS = 'label', 'cls'  # of KEY.json
_MOST_CLASSES = 1_000_000
_MOST_BYTES = 2**20  # of a label's file
_MOST_FAULTS = 10  # of a shard


class Sample(NamedTuple):
  """A sample: its image's name, offset and size, and its label."""

  name: str
  offset: int
  size: int
  label: int


def table(path: str) -> Table:
  """Returns the samples of a local shard: rows of offset, size and label."""
  found = list(samples(path))
  rows = np.array([sample[1:] for sample in found], np.int64).reshape(-1, 3)
  return Table(rows, [sample.name for sample in found])


def of_table(table: Table) -> list[Sample]:
  """Returns the samples that `table` describes."""
  rows = table.rows.tolist()
  pairs = zip(table.names, rows, strict=True)
  return [Sample(name, *row) for name, row in pairs]


def samples(path: str) -> Iterator[Sample]:
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


def _sample(key: str, members: list, read) -> Sample:
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
    return Sample(f'{key}.{ending}', offset, size, label)
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
