"""The index of a dataset in a bucket: its objects, and what is in its shards.

One file, an .npz with a checksum, beside the data or in a local cache.
"""

import dataclasses
import io
from typing import NamedTuple
import zipfile

import numpy as np

from inception_jax import inputs
from inception_jax.data.remote import checked

_FORMAT = 1
_END = '\0'  # of a name


class Table(NamedTuple):
  """What a shard contains, as a source describes it.

  Attributes:
    rows: int64 [N, any].
    names: N, or none.
  """

  rows: np.ndarray
  names: list[str]


@dataclasses.dataclass
class Index:
  """The objects of a dataset.

  Attributes:
    names: relative to its URL.
    versions: of the objects; empty until they are known.
    tables: kind → number of the object → what is in this shard.
  """

  names: list[str]
  versions: list[bytes] = dataclasses.field(default_factory=list)
  tables: dict[str, dict[int, Table]] = dataclasses.field(default_factory=dict)

  def pack(self) -> bytes:
    """Returns it as the content of a file."""
    arrays = {
      'format': np.int64(_FORMAT),
      'names': _text(self.names),
      'versions': np.frombuffer(b''.join(self.versions), np.uint8),
      'lengths': np.array([len(x) for x in self.versions], np.int64),
    }
    for kind, tables in self.tables.items():
      if not tables:
        continue
      arrays |= {
        f'{kind}.numbers': np.array(list(tables), np.int64),
        f'{kind}.counts': np.array([len(t.rows) for t in tables.values()]),
        f'{kind}.rows': np.concatenate([t.rows for t in tables.values()]),
        f'{kind}.names': _text([n for t in tables.values() for n in t.names]),
      }
    file = io.BytesIO()
    np.savez(file, **arrays)
    return checked.pack(file.getvalue())


def unpack(content: bytes) -> Index:
  """Returns the index that a file has.

  Raises:
    ValueError: it is damaged, or of another version of this program.
  """
  try:
    content = io.BytesIO(checked.unpack(content))
    with zipfile.ZipFile(content) as archive:
      if any(entry.compress_type for entry in archive.infolist()):
        raise ValueError('compressed, by another program')
    with np.load(content) as found:
      arrays = {name: found[name] for name in found.files}
    if int(arrays['format']) != _FORMAT:
      raise ValueError('of another version of this program')
    index = Index(_names(arrays['names']))
    for name in filter(None, index.names):
      inputs.parts_inside(name)
    ends = np.cumsum(arrays['lengths'])
    stored = arrays['versions'].tobytes()
    starts = ends - arrays['lengths']
    index.versions = [
      stored[i:j] for i, j in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    if len(index.versions) not in (0, len(index.names)):
      raise ValueError('its columns have other lengths')
    for kind in {x.split('.')[0] for x in arrays if x.endswith('.rows')}:
      column = lambda name, kind=kind: arrays[f'{kind}.{name}']
      index.tables[kind] = _tables(column, len(index.names))
  except Exception as error:  # from zipfile and numpy, whatever they meet
    raise ValueError(f'no sound index: {error}') from error
  return index


def _tables(column, objects: int) -> dict[int, Table]:
  rows, names = column('rows'), _names(column('names'))
  if len(names) not in (0, len(rows)) or rows.ndim != 2 or (rows < 0).any():
    raise ValueError('its rows are none')
  ends = np.cumsum(column('counts'))
  if ends[-1:].tolist() not in ([], [len(rows)]):
    raise ValueError('its columns have other lengths')
  tables, begin = {}, 0
  for number, end in zip(column('numbers').tolist(), ends, strict=True):
    if not 0 <= number < objects:
      raise ValueError('it has no such object')
    tables[number] = Table(rows[begin:end], names[begin:end])
    begin = end
  return tables


def _text(names: list[str]) -> np.ndarray:
  text = ''.join(f'{name}{_END}' for name in names)
  return np.frombuffer(text.encode(errors='surrogateescape'), np.uint8)


def _names(array: np.ndarray) -> list[str]:
  text = array.tobytes().decode(errors='surrogateescape')
  return text.split(_END)[:-1]
