"""`cifar`: small archives in the authors' formats."""

import io
import os
import pickle
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

from configs import digits as digits_recipe
from inception_jax import errors
from inception_jax.data import pipeline
from inception_jax.data.sources import cifar_files
from inception_jax.data.sources import registry
from inception_jax.models import factory
from tests.support.malicious_pickle import MaliciousPickle
from tests.support.tar_files import tar
from tests.support.zip_files import entry
from tests.support.zip_files import raw

CLASSES = {10: 'batches.meta', 100: 'meta'}


def images(seed, count=4):
  return np.random.default_rng(seed).integers(
    0, 256, (count, 3072), dtype=np.uint8
  )


def labels(seed, classes, count=4):
  return [(7 * seed + i) % classes for i in range(count)]


def files(classes, version):
  """Name → content of an archive's files; the i-th split has images(i)."""
  names = [f'class {i}'.replace(' ', '_') for i in range(classes)]
  if classes == 10:
    parts = [f'data_batch_{i}' for i in range(1, 6)] + ['test_batch']
  else:
    parts = ['train', 'test']
  result = {}
  for seed, part in enumerate(parts):
    fine = labels(seed, classes)
    if version == 'binary':
      columns = [np.uint8(fine)[:, None], images(seed)]
      if classes == 100:
        columns.insert(0, np.full((4, 1), 19, np.uint8))  # the coarse label
      result[f'{part}.bin'] = np.concatenate(columns, 1).tobytes()
    else:
      batch = {b'batch_label': b'one', b'data': images(seed)}
      if classes == 10:
        batch[b'labels'] = fine
      else:
        batch |= {b'fine_labels': fine, b'coarse_labels': [19] * 4}
      # The authors' numpy had other module names.
      result[part] = pickle.dumps(batch, protocol=2).replace(
        b'cnumpy._core.', b'cnumpy.core.'
      )
      assert b'cnumpy.core.multiarray' in result[part]
  if version == 'binary':
    name = {10: 'batches.meta.txt', 100: 'fine_label_names.txt'}[classes]
    result[name] = '\n'.join([*names, '']).encode()
  else:
    key = {10: b'label_names', 100: b'fine_label_names'}[classes]
    meta = {key: [name.encode() for name in names]}
    result[CLASSES[classes]] = pickle.dumps(meta, protocol=2)
  return result


def write(folder, contents):
  folder.mkdir(parents=True)
  for name, content in contents.items():
    (folder / name).write_bytes(content)


def pack(path, contents):
  with tarfile.open(path, 'w:gz') as archive:
    for name, content in contents.items():
      member = tarfile.TarInfo(f'cifar/{name}')
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))
  return path


def zipped(path, contents, top):
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    for name, content in contents.items():
      archive.writestr(f'{top}{name}', content)
  return path


def config_of(where):
  config = factory.resolve(digits_recipe.get_config())
  config.data.source = 'cifar'
  config.data.dir = str(where)
  config.data.image_size = 32
  return config


def read(config, split):
  """Returns images [N, 3072] as in the files, labels and class names."""
  opened = registry.load(config, split)
  (batch,) = pipeline.eval_batches(
    opened, config.data, opened.size, range(opened.size)
  )
  planes = batch['image'].transpose(0, 3, 1, 2).reshape(-1, 3072)
  return planes, batch['label'].tolist(), opened.class_names


@pytest.mark.parametrize('classes', [10, 100])
@pytest.mark.parametrize('version', ['binary', 'python'])
@pytest.mark.parametrize('packed', ['', 'tar.gz', 'zip', 'zip in a folder'])
def test_both_versions_of_both_datasets(tmp_path, classes, version, packed):
  contents = files(classes, version)
  if packed == 'tar.gz':
    where = pack(tmp_path / 'c.tar.gz', contents)
  elif packed:
    top = 'cifar-10-batches-py/' if 'folder' in packed else ''
    where = zipped(tmp_path / 'c.zip', contents, top)
  else:
    where = tmp_path
    write(tmp_path / 'any name', contents)
  config = config_of(where)
  assert registry.check(config) == []
  last = 5 if classes == 10 else 1
  planes, targets, names = read(config, 'train')
  np.testing.assert_array_equal(
    planes, np.concatenate([images(i) for i in range(last)])
  )
  assert targets == [x for i in range(last) for x in labels(i, classes)]
  assert names == tuple(f'class_{i}' for i in range(classes))
  planes, targets, _ = read(config, 'test')
  np.testing.assert_array_equal(planes, images(last))
  assert targets == labels(last, classes)


def test_splits_in_separate_folders(tmp_path):
  contents = files(10, 'binary')
  test = {'test_batch.bin': contents.pop('test_batch.bin')}
  contents.pop('batches.meta.txt')
  write(tmp_path / 'cifar-10-batches-bin', contents)
  write(tmp_path / 'cifar-10-verify-bin', test)
  config = config_of(tmp_path)
  assert len(read(config, 'train')[1]) == 20
  planes, _, names = read(config, 'test')
  np.testing.assert_array_equal(planes, images(5))
  assert names[0] == 'airplane' and names[9] == 'truck'


def test_missing_damaged_and_mixed_files_are_reported(tmp_path):
  contents = files(10, 'python')
  trace = tmp_path / 'trace'
  write(tmp_path / 'a', contents)
  config = config_of(tmp_path / 'a')

  def load_error(split='train'):
    with pytest.raises(errors.UserError) as error:
      registry.load(config, split)
    return '; '.join(error.value.faults)

  path = tmp_path / 'a' / 'data_batch_2'
  path.unlink()
  assert load_error() == f'{tmp_path}/a: CIFAR-10 lacks data_batch_2'
  for content, expected in (
    (
      pickle.dumps(MaliciousPickle(str(trace))),
      f'it refers to {open.__module__}.open',
    ),
    (
      pickle.dumps({b'data': images(0), b'labels': [1, 2]}),
      'its images are uint8 (4, 3072), expected uint8 (2, 3072)',
    ),
    (
      pickle.dumps({b'data': images(0), b'labels': [1, 2, 3, 10]}),
      'outside of 10',
    ),
    (
      pickle.dumps({b'data': images(0), b'labels': [1, 2, 3, 2**70]}),
      'or damaged',
    ),
    (
      pickle.dumps({b'data': images(0), b'labels': [1, 2, 3, [4]]}),
      'not a list of integers',
    ),
    (pickle.dumps({b'data': [], b'labels': [1]}), 'are not an array'),
    (pickle.dumps([]), 'or damaged'),
    (contents['data_batch_1'][:-9000], 'or damaged'),
    (b'', 'or damaged'),
  ):
    path.write_bytes(content)
    assert expected in load_error()
    assert 'data_batch_2 is not from CIFAR-10' in load_error()
  assert not trace.exists()
  assert registry.load(config, 'test').size == 4

  write(tmp_path / 'a' / 'b', files(100, 'binary'))
  assert 'has CIFAR-10 and CIFAR-100: set data.dir' in load_error()
  config.data.dir = str(tmp_path / 'a' / 'b')
  assert registry.load(config, 'train').size == 4
  (tmp_path / 'a' / 'b' / 'train.bin').write_bytes(bytes(3073))
  assert 'its 3073 bytes are not a multiple of 3074' in load_error()
  config.data.dir = str(tmp_path)
  (tmp_path / 'x').mkdir()
  config.data.dir = str(tmp_path / 'x')
  assert 'has none of the files of CIFAR-10 and CIFAR-100' in load_error()
  (tmp_path / 'c.tar.gz').write_bytes(b'junk')
  config.data.dir = str(tmp_path / 'c.tar.gz')
  assert 'cannot be read' in load_error()
  config.data.dir = str(tmp_path / 'gone')
  config.data.train_split = 'all'
  split, missing = registry.check(config)
  assert "data.train_split='all'" in split
  assert 'no such folder, .tar.gz or .zip' in missing


def test_a_flipped_bit_of_an_archive_is_an_error(tmp_path):
  path = pack(tmp_path / 'c.tar.gz', files(100, 'binary'))
  config = config_of(path)
  content = path.read_bytes()
  # Random pixels do not compress, so that most flips decompress silently.
  for offset in range(20, len(content), len(content) // 60):
    damaged = bytearray(content)
    damaged[offset] ^= 1 << offset % 8
    path.write_bytes(damaged)
    with pytest.raises(errors.UserError) as error:
      registry.load(config, 'test')
    (problem,) = error.value.faults
    assert problem.startswith(f'{path} cannot be read: ')


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path, monkeypatch):
  contents = files(10, 'python')
  write(tmp_path / 'a', contents)
  path = tmp_path / 'a' / 'data_batch_2'
  path.unlink()
  os.mkfifo(path)
  with pytest.raises(errors.UserError, match='not a regular file'):
    registry.load(config_of(tmp_path / 'a'), 'train')
  os.mkfifo(tmp_path / 'c.tar.gz')
  with pytest.raises(errors.UserError, match='not a regular file'):
    registry.load(config_of(tmp_path / 'c.tar.gz'), 'train')

  monkeypatch.setattr(cifar_files, '_MAX_BYTES', 20_000)
  where = tmp_path / 'c.tar'
  where.write_bytes(tar(contents.items()))
  with pytest.raises(errors.UserError, match='are too large to be CIFAR'):
    registry.load(config_of(where), 'test')
  where.write_bytes(tar([('data_batch_1', b'x')])[:512] + b'damaged')
  with pytest.raises(errors.UserError, match='cannot be read: '):
    registry.load(config_of(where), 'test')
  where = zipped(tmp_path / 'c.zip', contents, '')
  with pytest.raises(errors.UserError, match='are too large to be CIFAR'):
    registry.load(config_of(where), 'test')
  where.write_bytes(raw(entry('../data_batch_1')))
  with pytest.raises(errors.UserError, match='lies outside of the archive'):
    registry.load(config_of(where), 'test')
  bomb = entry('test_batch.bin', bytes(2**25), method=8, size=3073)
  where.write_bytes(raw(bomb))
  tracemalloc.start()
  with pytest.raises(errors.UserError, match='cannot be read: Bad CRC-32'):
    registry.load(config_of(where), 'test')
  _, most = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert most < 2**22


@pytest.mark.parametrize('packed', [False, True])
def test_files_that_are_not_read_are_named_with_the_reason(
  tmp_path, caplog, packed
):
  contents = files(10, 'binary')
  contents['data_batch_6.bin'] = contents['data_batch_1.bin']
  contents |= {'readme.html': b'', '.DS_Store': b'', 'notes.txt': b''}
  where = tmp_path / 'c.zip'
  if packed:
    zipped(where, contents, 'cifar-10-batches-bin/')
  else:
    where = tmp_path / 'c'
    write(where, contents)
    (tmp_path / 'unrelated.txt').touch()
  for split in ('train', 'test'):
    registry.load(config_of(where), split)
  (line,) = [r.getMessage() for r in caplog.records if r.levelname == 'WARNING']
  assert line == (
    f'not read: data_batch_6.bin, notes.txt in {where}; CIFAR-10 has 5 files '
    'of training images, data_batch_1.bin to data_batch_5.bin, and '
    'test_batch.bin'
  )
