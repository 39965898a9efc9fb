"""Files in a .zip, read in place."""

import concurrent.futures
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from inception_jax.data import places
from inception_jax.data import zips
from inception_jax.errors import UserError
from tests.support.zip_files import entry
from tests.support.zip_files import raw


@pytest.mark.parametrize('method', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_threads_read_the_files_of_an_archive(tmp_path, method):
  rng = np.random.default_rng(0)
  contents = {
    f'f/{i}': rng.bytes(rng.integers(1, 50_000)) + bytes(100) for i in range(40)
  }
  path = str(tmp_path / 'x.zip')
  with zipfile.ZipFile(path, 'w', method) as archive:
    for name, content in contents.items():
      archive.writestr(name, content)
    archive.comment = b'of any kind'
  paths = [f'{path}/{name}' for name in reversed(contents)]
  archive, numbers = places.reader(paths)
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    found = list(pool.map(archive.read, np.tile(numbers, 20)))
  assert found == list(reversed(contents.values())) * 20
  assert [places.size(p) for p in paths] == [len(x) for x in found[:40]]


def test_an_archive_is_a_folder(tmp_path):
  path = tmp_path / 'x.ZIP'
  path.write_bytes(raw(entry('a/b/c', b'abc'), entry('e/', b'')))
  assert sorted(x.name for x in places.scan(str(path))) == ['a', 'e']
  (found,) = places.scan(f'{path}/a/b')
  assert (found.path, found.is_file()) == (f'{path}/a/b/c', True)
  assert places.is_folder(path / 'a') and places.is_folder(path / 'e')
  assert places.exists(path / 'a/b/c') and not places.is_folder(path / 'a/b/c')
  assert not places.exists(path / 'a/b/c/d')
  assert places.read(f'{path}/a/b/c') == b'abc'
  for function in (places.scan, places.read, places.size, places.open_file):
    with pytest.raises(FileNotFoundError):
      function(f'{path}/gone')
  # One that has changed is read anew.
  path.write_bytes(raw(entry('new')))
  assert [x.name for x in places.scan(str(path))] == ['new']
  # Folders may have such a name, too.
  (tmp_path / 'y.zip' / 'z').mkdir(parents=True)
  assert [x.name for x in places.scan(str(tmp_path / 'y.zip'))] == ['z']
  with pytest.raises(UserError, match='is not a file in'):
    places.reader([f'{path}/new', '/etc/passwd'])
  os.mkfifo(tmp_path / 'pipe.zip')
  assert not places.is_folder(tmp_path / 'pipe.zip')


@pytest.mark.parametrize(
  'kwargs, message',
  [
    ({'crc': 1}, 'size or checksum'),
    ({'size': 99}, 'size or checksum'),
    ({'size': 101, 'method': 8}, 'size or checksum'),
    ({'size': 99, 'method': 8}, 'size or checksum'),
    ({'packed': b'\xff' * 50, 'method': 8}, 'compressed data are damaged'),
  ],
)
def test_contents_are_bounded_and_compared_with_the_index(
  tmp_path, kwargs, message
):
  path = tmp_path / 'x.zip'
  kwargs = {'content': b'x' * 100, **kwargs}
  path.write_bytes(raw(entry('a', **kwargs), entry('b', b'good')))
  with pytest.raises(OSError, match=message):
    places.read(f'{path}/a')
  assert places.read(f'{path}/b') == b'good'


def test_a_bomb_is_inflated_to_its_declared_size_only(tmp_path):
  path = tmp_path / 'x.zip'
  path.write_bytes(raw(entry('a', bytes(2**25), size=100, method=8)))
  archive, _ = places.within(str(path))
  tracemalloc.start()
  with pytest.raises(ValueError, match='size or checksum'):
    archive.read(0)
  _, most = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert most < 2**20


def test_damage_behind_the_index_is_an_error_of_one_file(tmp_path, monkeypatch):
  path = tmp_path / 'x.zip'
  content = bytearray(raw(entry('a', b'x' * 100), entry('b', b'good')))
  read = lambda name: places.read(f'{path}/{name}')
  for at in (0, 6, 8, 26, 28, 60):  # signature, flags, method, lengths, data
    damaged = content.copy()
    damaged[at] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(OSError, match='its '):
      read('a')
    assert read('b') == b'good'
  path.write_bytes(content)
  archive, _ = places.within(str(path))
  os.truncate(path, 10)
  with pytest.raises(ValueError, match='truncated'):
    archive.read(0)
  path.write_bytes(content)
  monkeypatch.setattr(zips, '_MAX_BYTES', 99)
  with pytest.raises(OSError, match='100 bytes are too many'):
    read('a')
