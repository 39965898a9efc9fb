"""Archives of data sets: verified, unpacked safely, counted."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile

import numpy as np
from PIL import Image
import pytest

from inception_jax.data.prepare import archives
from inception_jax.data.prepare import imagenet
from inception_jax.data.prepare import verify
from inception_jax.data.splits import Indexed
from inception_jax.errors import UserError
from inception_jax.runtime import files
from tests.support.commands import run

PREPARE = {'program': ('-m', 'inception_jax.tools.prepare')}
# Of the first three validation images.
SYNSETS = ('n01751748', 'n09193705', 'n02105855')


def tar(members, **kwargs):
  """An archive of (name or TarInfo, content) pairs."""
  buffer = io.BytesIO()
  with tarfile.open(fileobj=buffer, mode='w', **kwargs) as archive:
    for member, content in members:
      if isinstance(member, str):
        member = tarfile.TarInfo(member)
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))
  return buffer.getvalue()


def jpeg(grey):
  buffer = io.BytesIO()
  Image.fromarray(np.full((40, 50, 3), grey, np.uint8)).save(buffer, 'JPEG')
  return buffer.getvalue()


@pytest.fixture(scope='module')
def small_imagenet(tmp_path_factory):
  """Three classes of ImageNet, in archives like its own."""
  folder = tmp_path_factory.mktemp('imagenet')
  classes = [
    (f'{s}.tar', tar((f'{s}_{i}.JPEG', jpeg(60 * i)) for i in range(4)))
    for s in SYNSETS
  ]
  images = [(f'ILSVRC2012_val_{i + 1:08}.JPEG', jpeg(i)) for i in range(3)]
  (folder / imagenet.TRAIN).write_bytes(tar(classes))
  (folder / imagenet.VALIDATION).write_bytes(tar(images))
  return [f'--archive={folder / name}' for name in imagenet.FOLDERS]


def result_of(*args):
  done = run(*args, **PREPARE)
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout.splitlines()[-1])


def test_archives_become_class_folders_that_are_checked(
  tmp_path, small_imagenet
):
  data = tmp_path / 'data'
  args = ['--source=folder', f'--data_dir={data}', '--noverify']
  result = result_of(*args, *small_imagenet)
  assert result['splits'] == {'train': 12, 'validation': 3}
  assert result['classes'] == 3
  assert result['bad_images'] is None
  for i, synset in enumerate(SYNSETS):
    names = [path.name for path in (data / 'train' / synset).iterdir()]
    assert sorted(names) == [f'{synset}_{i}.JPEG' for i in range(4)]
    (image,) = (data / 'validation' / synset).iterdir()
    assert image.read_bytes() == jpeg(i)

  # Damage in the last rows, at which a central crop does not look.
  bad = data / 'train' / SYNSETS[0] / f'{SYNSETS[0]}_1.JPEG'
  noise = np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8)
  Image.fromarray(noise).save(bad)
  bad.write_bytes(bad.read_bytes()[:-400])
  result = result_of(*args, '--check_images')
  assert len(result['bad_images']) == 1
  assert str(bad) in result['bad_images'][0]


def test_tfds_builds_imagenet_as_records_by_number(tmp_path, small_imagenet):
  args = ['--source=tfds:imagenet2012', f'--data_dir={tmp_path}']
  result = result_of(*args, '--noverify', *small_imagenet)
  assert result['splits'] == {'train': 12, 'validation': 3}
  assert result['classes'] == 1000
  assert list(tmp_path.glob('imagenet2012/*/*.array_record*'))
  # Once more, it is there, and its archives are not asked for.
  assert result_of(*args, '--noverify')['splits'] == result['splits']
  done = run(*args, **PREPARE)
  assert done.returncode == 2
  assert done.stderr.count('\nerror: ') + done.stderr.startswith('error: ') == 2
  assert 'train has 12 images, expected 1281167' in done.stderr
  assert 'validation has 3 images, expected 50000' in done.stderr


@pytest.mark.parametrize(
  'args, faults',
  [
    ([], ['--source=: expected', '--data_dir is missing']),
    (
      ['--source=cifar', '--data_dir=x', '--archive=x.tar'],
      ['cifar has nothing to unpack'],
    ),
    (
      ['--source=tfds:imagenet2012', '--data_dir={}'],
      [imagenet.TRAIN, imagenet.VALIDATION, 'image-net.org'],
    ),
    (['--source=tfds:cifar1', '--data_dir={}'], ['cifar10']),
  ],
)
def test_mistakes_end_in_a_line_each_and_leave_nothing(tmp_path, args, faults):
  folder = tmp_path / 'data'
  # From anywhere: its default recipe is found, too.
  done = run(*(arg.format(folder) for arg in args), **PREPARE, cwd=tmp_path)
  assert done.returncode == 2, done.stderr
  assert done.stdout == ''
  lines = done.stderr.splitlines()
  assert len(lines) == len(faults), done.stderr
  for line, fault in zip(lines, faults, strict=True):
    assert line.startswith('error: ') and fault in line
  assert not folder.exists()


def test_what_is_not_as_published_is_refused_before_anything(
  tmp_path, small_imagenet
):
  folder = tmp_path / 'data'
  args = ['--source=folder', f'--data_dir={folder}', *small_imagenet]
  done = run(*args, **PREPARE)
  assert done.returncode == 2
  train, validation = done.stderr.splitlines()
  assert 'the published one 147897477120' in train
  assert 'the published one 6744924160' in validation
  assert not folder.exists()


def test_sums_are_compared(tmp_path, monkeypatch):
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


def test_published_sums_are_those_of_tfds():
  import tensorflow_datasets as tfds

  for name in ('imagenet2012', 'cifar10', 'cifar100'):
    for url, info in tfds.builder_cls(name).url_infos.items():
      ours = archives.PUBLISHED[url.split('/')[-1]]
      assert (ours.size, ours.sha256) == (int(info.size), info.checksum)


def member(name, kind, target=''):
  info = tarfile.TarInfo(name)
  info.type, info.linkname = kind, target
  return info


@pytest.mark.parametrize(
  'members, fault',
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
@pytest.mark.parametrize('place', ['whole', 'packed'])
def test_hostile_archives(tmp_path, members, fault, place):
  content = tar(members)
  if place == 'packed':
    content = gzip.compress(content)
  path = tmp_path / 'set.tar'
  path.write_bytes(content)
  with pytest.raises(UserError, match=fault):
    archives.unpack(str(path), str(tmp_path / 'in' / 'set'), 1000)
  assert not list(tmp_path.rglob('out.jpg'))


def test_a_cut_archive_is_said_to_be_one(tmp_path):
  path = tmp_path / 'set.tar'
  path.write_bytes(tar([('a', b'x' * 5000)])[:2000])
  with pytest.raises(UserError, match='cannot be unpacked'):
    archives.unpack(str(path), str(tmp_path / 'set'), 10_000)
  path.write_bytes(b'')
  with pytest.raises(UserError, match='cannot be unpacked'):
    archives.unpack(str(path), str(tmp_path / 'set2'), 10_000)


@pytest.mark.parametrize('library', [gzip, bz2, lzma])
def test_flipped_bits_in_a_packed_archive_are_no_traceback(tmp_path, library):
  noise = np.random.default_rng(0).bytes(300_000)
  content = bytearray(library.compress(tar([('a', noise), ('b', noise)])))
  for i in range(len(content) // 3, len(content), 1000):
    content[i] ^= 0x10
  path = tmp_path / 'set.tar'
  path.write_bytes(content)
  with pytest.raises(UserError, match='cannot be unpacked'):
    archives.unpack(str(path), str(tmp_path / 'set'), 10**6)


def test_a_disk_that_is_too_small_is_said_before(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert files.too_full('new/folder', 1) == []
  assert files.too_full(str(tmp_path / 'new' / 'folder'), 1) == []
  (fault,) = files.too_full(str(tmp_path / 'new'), 10**18)
  assert 'GB free, 1000000000.0 are needed' in fault


def test_counts_are_those_published():
  split = lambda size, classes=10: Indexed(size, ('x',) * classes, None)
  whole = {'train': split(50_000), 'test': split(10_000)}
  verify.counts('cifar', whole, [])
  verify.counts('tfds:cifar10', whole, [])
  verify.counts('folder', {'train': split(7)}, [])
  verify.counts('tfds:imagenet2012_subset', {'train': split(7)}, [])
  verify.counts('tfds:cifar10_corrupted', {'test': split(7)}, [])
  known = [f'/data/{imagenet.TRAIN}']
  verify.counts('folder', {'train': split(1_281_167, 1000)}, known)
  with pytest.raises(UserError, match='train has 7 images, expected 1281167'):
    verify.counts('folder', {'train': split(7, 1000)}, known)
  with pytest.raises(UserError, match='has 10 classes, expected 1000'):
    verify.counts('tfds:imagenet2012', {'train': split(1_281_167)}, known)
