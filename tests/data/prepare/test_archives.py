"""Archives: compared with the published ones, and unpacked safely."""

import bz2
import gzip
import hashlib
import lzma
import tarfile

import numpy as np
import pytest

from inception_jax.data.prepare import archives
from inception_jax.errors import UserError
from tests.support.tar_files import tar


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


@pytest.mark.parametrize(
  'members, message',
  [
    ([('../out.jpg', b'x')], 'lies outside'),
    ([('a/../../out.jpg', b'x')], 'lies outside'),
    ([('/tmp/out.jpg', b'x')], 'lies outside'),
    ([(member('a', tarfile.SYMTYPE, '/etc'), b'')], 'a link or a device'),
    ([(member('a', tarfile.LNKTYPE, 'b'), b'')], 'a link or a device'),
    ([(member('a', tarfile.FIFOTYPE), b'')], 'a link or a device'),
    ([(member('a', tarfile.CHRTYPE), b'')], 'a link or a device'),
    ([('a', b'x' * 600), ('b', b'x' * 600)], 'more than 1000 bytes'),
    ([('a', b'x'), ('a', b'y')], 'File exists'),
    ([('n1.tar', tar([('../out.jpg', b'x')]))], 'lies outside'),
    ([('n1.tar', b'no archive' * 100)], 'cannot be unpacked'),
  ],
)
@pytest.mark.parametrize('compressed', [False, True])
def test_hostile_archives_are_refused(tmp_path, members, message, compressed):
  content = tar(members)
  if compressed:
    content = gzip.compress(content)
  path = tmp_path / 'set.tar'
  path.write_bytes(content)
  with pytest.raises(UserError, match=message):
    archives.unpack(str(path), str(tmp_path / 'in' / 'set'), 1000)
  assert not list(tmp_path.rglob('out.jpg'))


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
