"""The file of an index: all of it, or an error."""

import io

import numpy as np
import pytest

from inception_jax.data.remote import checked
from inception_jax.data.remote import index as index_lib
from inception_jax.data.remote.index import Index
from inception_jax.data.remote.index import Table

NAMES = ['a/1.png', 'b/é.tar', 'c.tar', 'd.tar']


def sound():
  rows = np.arange(6, dtype=np.int64).reshape(2, 3)
  tables = {1: Table(rows, ['x', 'ü']), 3: Table(rows[:0], [])}
  of_others = {2: Table(rows[:1] + 2**40, [])}
  versions = [b'\0a', b'', b'\xff' * 9, b'd']
  kinds = {'samples': tables, 'records': of_others, 'none': {}}
  return Index(NAMES, versions, kinds)


def test_an_index_is_read_as_it_was_written():
  index = sound()
  found = index_lib.unpack(index.pack())
  assert (found.names, found.versions) == (index.names, index.versions)
  assert found.tables.keys() == {'samples', 'records'}
  for kind, tables in found.tables.items():
    assert tables.keys() == index.tables[kind].keys()
    for number, table in tables.items():
      assert table.names == index.tables[kind][number].names
      np.testing.assert_array_equal(table.rows, index.tables[kind][number].rows)
  assert index_lib.unpack(Index(['']).pack()).names == ['']


def test_a_damaged_index_is_refused():
  packed = sound().pack()
  for offset in range(0, len(packed), 37):
    content = bytearray(packed)
    content[offset] ^= 4
    with pytest.raises(ValueError, match='no sound index: its checksum'):
      index_lib.unpack(bytes(content))
  with pytest.raises(ValueError, match='no sound index: its checksum'):
    index_lib.unpack(b'')


@pytest.mark.parametrize(
  ('name', 'change'),
  [
    ('names', lambda x: np.frombuffer(b'../a\0' * 4, np.uint8)),
    ('names', lambda x: np.frombuffer(b'a\0', np.uint8)),
    ('lengths', lambda x: x[:-1]),
    ('format', lambda x: x + 1),
    ('samples.rows', lambda x: x - 1),
    ('samples.rows', lambda x: x[:1]),
    ('samples.names', lambda x: x[:2]),
    ('samples.numbers', lambda x: x + 9),
    ('samples.counts', lambda x: x + 1),
    ('names', lambda x: np.array([None])),
  ],
)
def test_an_index_of_a_stranger_is_checked(name, change):
  with np.load(io.BytesIO(checked.unpack(sound().pack()))) as found:
    arrays = dict(found)
  file = io.BytesIO()
  np.savez(file, **{**arrays, name: change(arrays[name])})
  with pytest.raises(ValueError, match='no sound index: '):
    index_lib.unpack(checked.pack(file.getvalue()))
