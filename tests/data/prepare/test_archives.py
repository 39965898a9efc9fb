"""Archives: compared with the published ones, and unpacked safely."""

import bz2
import gzip
import hashlib
import lzma
import os
import shutil
import stat
import tarfile

import numpy as np
import pytest

from inception_jax.data.prepare import archives
from inception_jax.errors import UserError
from tests.support.tar_files import tar
from tests.support.zip_files import entry
from tests.support.zip_files import raw


def member(name, kind, target=''):
  info = tarfile.TarInfo(name)
  info.type, info.linkname = kind, target
  return info


def test_archives_are_compared_with_the_published_ones(tmp_path, monkeypatch):
  path = tmp_path / 'set.tar'
  path.write_bytes(b'abc')
  right = hashlib.sha256(b'abc').hexdigest()
  other = tmp_path / 'unknown.tar'
  other.touch()
  paths = [str(path), str(other)]
  known = archives.Published(3, right)
  monkeypatch.setattr(archives, 'PUBLISHED', {'set.tar': known})
  assert archives.verify(paths) == [str(path)]
  path.write_bytes(b'abd')
  with pytest.raises(UserError, match='is not the published one'):
    archives.verify(paths)


def test_published_sums_equal_those_in_tfds():
  import tensorflow_datasets as tfds

  for name in ('imagenet2012', 'cifar10', 'cifar100'):
    for url, info in tfds.builder_cls(name).url_infos.items():
      published = archives.PUBLISHED[url.split('/')[-1]]
      assert published.size == int(info.size)
      assert published.sha256 == info.checksum


def header(kind, size, name='a'):
  """Returns a header as it is, without the content that it declares."""
  info = member(name, kind)
  info.size = size
  return info.tobuf(tarfile.GNU_FORMAT)


def sparse(content):
  """Returns a member in the form of GNU tar's sparse files, version 1.0."""
  info = member('a', tarfile.REGTYPE)
  info.pax_headers = {
    f'GNU.sparse.{key}': value
    for key, value in zip(
      ('major', 'minor', 'name', 'realsize'), '10a5', strict=True
    )
  }
  return info, content


def contents(folder):
  """Path → content of all files below a folder."""
  return {
    path.relative_to(folder).as_posix(): path.read_bytes()
    for path in folder.rglob('*')
    if path.is_file()
  }


INNER = tar([('tensorflow.py', b'x')])


@pytest.mark.parametrize(
  'members, message',
  [
    ([('../out.jpg', b'x')], 'lies outside'),
    ([('a/../../out.jpg', b'x')], 'lies outside'),
    ([('a/../out.jpg', b'x')], 'lies outside'),
    ([('/tmp/out.jpg', b'x')], 'lies outside'),
    ([('//tmp/out.jpg', b'x')], 'lies outside'),
    ([('..', b'x')], 'lies outside'),
    ([('.', b'x')], 'lies outside'),
    ([('', b'x')], 'lies outside'),
    ([('a/' * 100 + 'x', b'x')], 'lies outside'),
    ([('a' * 300, b'x')], 'File name too long'),
    ([(member('a', tarfile.SYMTYPE, '/etc'), b'')], 'a link or a device'),
    ([(member('a', tarfile.SYMTYPE, 'b'), b'')], 'a link or a device'),
    ([(member('a', tarfile.LNKTYPE, 'b'), b'')], 'a link or a device'),
    ([(member('\x1b]0;', tarfile.LNKTYPE, 'b'), b'')], 'a link or a device'),
    ([(member('a', tarfile.FIFOTYPE), b'')], 'a link or a device'),
    ([(member('a', tarfile.CHRTYPE), b'')], 'a link or a device'),
    ([(member('a', tarfile.BLKTYPE), b'')], 'a link or a device'),
    ([(member('a', tarfile.GNUTYPE_SPARSE), b'')], 'is sparse'),
    ([sparse(b'1\n0\n5\n' + bytes(506) + b'12345')], 'is sparse'),
    ([('a', b'x' * 600), ('b', b'x' * 600)], 'more than 1000 bytes'),
    ([('a', b'x'), ('a', b'y')], 'File exists'),
    ([('a', b'x'), ('./a', b'y')], 'File exists'),
    ([('a', b'x'), ('a/b', b'y')], 'exists|Not a directory'),
    ([('n1.tar', tar([('../out.jpg', b'x')]))], 'lies outside'),
    ([('n1.tar', tar([('/tmp/out.jpg', b'x')]))], 'lies outside'),
    ([('n1.tar', tar([('.', b'x')]))], 'lies outside'),
    (
      [('n1.tar', tar([(member('a', tarfile.SYMTYPE, '..'), b'')]))],
      'a link or a device',
    ),
    ([('n1.tar', b'no archive' * 100)], 'cannot be unpacked'),
    # An archive in an archive becomes a folder without the suffix.
    ([('...tar', INNER)], 'lies outside'),
    ([('a/...tar', INNER)], 'lies outside'),
    ([('..tar', INNER)], 'lies outside'),
    ([('.tar', INNER)], 'lies outside'),
    ([('a/.tar', INNER)], 'lies outside'),
    ([('.tar', tar([('.tar', INNER)]))], 'lies outside'),
  ],
)
@pytest.mark.parametrize('compressed', [False, True])
def test_hostile_archives_are_refused(tmp_path, members, message, compressed):
  content = tar(members)
  if compressed:
    content = gzip.compress(content)
  path = tmp_path / 'set.tar'
  path.write_bytes(content)
  with pytest.raises(UserError, match=message) as error:
    archives.unpack(str(path), str(tmp_path / 'in' / 'set'), 1000)
  (line,) = error.value.faults
  assert len(line) < 400 and line.isprintable()
  outside = {*tmp_path.rglob('*')} - {*(tmp_path / 'in' / 'set').rglob('*')}
  assert outside == {path, tmp_path / 'in', tmp_path / 'in' / 'set'}


def test_the_path_that_a_member_is_given_is_checked(tmp_path):
  path = tmp_path / 'set.tar'
  path.write_bytes(tar([('a', b'x')]))
  with pytest.raises(UserError, match='lies outside'):
    archives.unpack(str(path), str(tmp_path / 'set'), 10, lambda _: '../out')


def test_unusual_names_are_kept(tmp_path):
  path = tmp_path / 'set.tar'
  names = ['a', 'A', './b/c.jpg', 'd//e', '...', '..f', 'g\udcff', 'h\n', '~/i']
  folder = (member('./', tarfile.DIRTYPE), b'')
  inner = ('n1.tar', tar([('n2.tar', INNER), ('a b', b'y')]))
  path.write_bytes(tar([folder, inner, *((name, b'x') for name in names)]))
  target = tmp_path / 'set'
  assert archives.unpack(str(path), str(target), 10**6) == len(names) + 2
  assert contents(target) == {
    **dict.fromkeys((*names[:2], *names[4:]), b'x'),
    'b/c.jpg': b'x',
    'd/e': b'x',
    'n1/n2.tar': INNER,
    'n1/a b': b'y',
  }


GOOD = tar([('a', b'x' * 600), ('b', b'y' * 600), ('c', b'z')])


@pytest.mark.parametrize(
  'content, message',
  [
    # tarfile takes all of these for the end of the archive.
    (GOOD[:1536], 'truncated'),
    (GOOD[:1700], 'truncated'),
    (GOOD[:1536] + b'\1' + GOOD[1537:], 'damaged'),
    (GOOD[:1536] + bytes(512) + GOOD[2048:], 'behind the end'),
    (GOOD + GOOD, 'behind the end'),
    # These it would read without end, or into memory.
    (header(tarfile.XHDTYPE, 2**30), 'a header of 1073741824 bytes'),
    (header(tarfile.GNUTYPE_LONGNAME, 2**30), 'a header of 1073741824 bytes'),
    (header(tarfile.REGTYPE, -512), 'a header of -512 bytes'),
    (header(tarfile.XHDTYPE, -512), 'a header of -512 bytes'),
    (header(tarfile.XHDTYPE, 0) * 2000, 'cannot be unpacked'),
  ],
)
@pytest.mark.parametrize('inner', [False, True])
def test_damage_is_not_taken_for_the_end(tmp_path, content, message, inner):
  path = tmp_path / 'set.tar'
  path.write_bytes(tar([('n1.tar', content)]) if inner else content)
  with pytest.raises(UserError, match=message):
    archives.unpack(str(path), str(tmp_path / 'set'), 10**6)


def test_changed_bytes_are_an_error_or_change_nothing_else(tmp_path):
  rng = np.random.default_rng(0)
  path, target = tmp_path / 'set.tar', tmp_path / 'in' / 'set'
  original = tar([('n1.tar', GOOD), ('d/e', b'1' * 700)])
  for _ in range(100):
    content = bytearray(original)
    for at in rng.integers(0, len(content), rng.integers(1, 4)):
      content[at] = rng.choice([0, 46, 47, 255, rng.integers(256)])
    path.write_bytes(content)
    try:
      count = archives.unpack(str(path), str(target), 10**5)
      assert count == 4
    except UserError as error:
      assert len(error.faults) == 1
    outside = {*tmp_path.rglob('*')} - {*target.rglob('*')}
    assert outside <= {path, target.parent, target}
    shutil.rmtree(target)


def test_only_regular_files_are_unpacked(tmp_path):
  os.mkfifo(tmp_path / 'set.tar')
  with pytest.raises(UserError, match='not a regular file'):
    archives.unpack(str(tmp_path / 'set.tar'), str(tmp_path / 'b'), 1000)


@pytest.mark.parametrize(
  'entries, message',
  [
    ([entry('a', b'x' * 600), entry('b', b'x' * 600)], 'more than 1000 bytes'),
    ([entry('a', bytes(10**6), method=8)], 'more than 1000 bytes'),
    ([entry('a', bytes(10**6), method=8, size=500)], 'cannot be unpacked'),
    ([entry('a', b'x' * 20, method=8, size=500)], 'is truncated'),
    ([entry('a', b'x', crc=1)], 'cannot be unpacked: Bad CRC-32'),
    ([entry('../out.jpg')], 'lies outside'),
    ([entry('a', mode=stat.S_IFLNK | 0o777)], 'a link or a device'),
    ([entry('a', flags=1)], 'encrypted'),
    ([entry('a', method=14)], 'compressed by LZMA'),
    ([entry('a'), entry('a')], 'is there twice'),
    ([entry('n1.tar', tar([('../out.jpg', b'x')]))], 'lies outside'),
    ([entry('...tar', INNER)], 'lies outside'),
    ([entry('n1.tar', b'no archive' * 50)], 'cannot be unpacked'),
  ],
)
def test_zips_are_unpacked_as_safely(tmp_path, entries, message):
  path = tmp_path / 'set.zip'
  path.write_bytes(raw(*entries))
  size = 2**14 if entries[0][0].endswith(b'tar') else 1000
  with pytest.raises(UserError, match=message) as error:
    archives.unpack(str(path), str(tmp_path / 'in' / 'set'), size)
  (line,) = error.value.faults
  assert len(line) < 400 and line.isprintable() and str(path) in line
  outside = {*tmp_path.rglob('*')} - {*(tmp_path / 'in' / 'set').rglob('*')}
  assert outside == {path, tmp_path / 'in', tmp_path / 'in' / 'set'}
  path.write_bytes(
    raw(
      entry('a/', b''), entry('a/ü', b'1' * 99, method=8), entry('n.tar', INNER)
    )
  )
  target = tmp_path / 'set'
  assert archives.unpack(str(path), str(target), 2**14) == 2
  assert contents(target) == {'a/ü': b'1' * 99, 'n/tensorflow.py': b'x'}


def test_a_truncated_archive_is_an_error(tmp_path):
  path = tmp_path / 'set.tar'
  path.write_bytes(tar([('a', b'x' * 5000)])[:2000])
  with pytest.raises(UserError, match='cannot be unpacked'):
    archives.unpack(str(path), str(tmp_path / 'set'), 10_000)
  path.write_bytes(b'')
  with pytest.raises(UserError, match='cannot be unpacked'):
    archives.unpack(str(path), str(tmp_path / 'set2'), 10_000)


@pytest.mark.parametrize('library', [gzip, bz2, lzma])
def test_flipped_bits_in_a_compressed_archive_are_an_error(tmp_path, library):
  noise = np.random.default_rng(0).bytes(300_000)
  content = bytearray(library.compress(tar([('a', noise), ('b', noise)])))
  for i in range(len(content) // 3, len(content), 1000):
    content[i] ^= 0x10
  path = tmp_path / 'set.tar'
  path.write_bytes(content)
  with pytest.raises(UserError, match='cannot be unpacked'):
    archives.unpack(str(path), str(tmp_path / 'set'), 10**6)
