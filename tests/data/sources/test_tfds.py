"""`tfds:NAME`: versions, configs, splits and damage of prepared datasets."""

import os
import re
import time

from etils.epath import gpath
from etils.epath import register
import numpy as np
import pytest
import tensorflow as tf

from inception_jax import errors
from inception_jax.data import pipeline
from inception_jax.data.bad_images import BadImages
from inception_jax.data.sources import registry
from inception_jax.data.sources import tfds
from tests.support import flips
from tests.support import tfds_sets
from tests.support.tfds_sets import config_of
from tests.support.tfds_sets import numbers
from tests.support.tfds_sets import take
from tests.support.tfds_sets import train_batches


def test_disable_gcs_keeps_tfds_from_its_bucket(monkeypatch):
  # tfds has no public switch. If this test fails, a new version of tfds has
  # changed the private one, and `tfds.disable_gcs` needs another.
  from tensorflow_datasets.core.utils import gcs_utils

  requests = []
  monkeypatch.setattr(gcs_utils, 'exists', requests.append)
  # Raises AttributeError where it does not exist.
  monkeypatch.setattr(gcs_utils, '_is_gcs_disabled', False)
  gcs_utils.is_dataset_on_gcs('mnist/3.0.1')
  gcs_utils.gcs_dataset_info_files('mnist/3.0.1')
  assert len(requests) == 2
  tfds.disable_gcs()
  assert gcs_utils.is_dataset_on_gcs('mnist/3.0.1') is False
  assert gcs_utils.gcs_dataset_info_files('mnist/3.0.1') is None
  assert len(requests) == 2


@pytest.mark.slow
def test_sub_splits(shapes_dir):
  config = config_of(shapes_dir)
  head, tail = (
    registry.load(config, split) for split in ('train[:17]', 'train[17:]')
  )
  assert (head.size, tail.size) == (17, 6)
  seen = []
  for split in (head, tail):
    for batch in pipeline.eval_batches(split, config.data, 1, range(1)):
      seen += numbers(batch)
  assert sorted(seen) == list(range(23))


def test_the_newest_version_is_read_unless_one_is_named(tmp_path):
  config = config_of(tmp_path)
  for version in ('1.0.0', '1.10.0', '1.9.0'):
    folder = tmp_path / 'shapes' / version
    folder.mkdir(parents=True)
    (folder / 'dataset_info.json').touch()
  (tmp_path / 'shapes' / '2.0.0').mkdir()  # unfinished
  newest = lambda: [path.name for path in tfds.builder_dirs(config)]
  assert newest() == ['1.10.0']
  config.data.source = 'tfds:shapes:1.9.0'
  assert newest() == ['1.9.0']
  config.data.source = 'tfds:shapes/other'
  assert newest() == []


def test_one_of_several_configs_must_be_named(tmp_path):
  config = config_of(tmp_path)
  for name in ('red', 'blue'):
    folder = tmp_path / 'shapes' / name / '1.0.0'
    folder.mkdir(parents=True)
    (folder / 'dataset_info.json').touch()
  (problem,) = registry.check(config)
  assert 'name one of its configs: blue, red' in problem
  config.data.source = 'tfds:shapes/red'
  assert registry.check(config) == []


@pytest.mark.slow
def test_a_missing_record_is_an_error(tmp_path):
  tfds_sets.write(tmp_path)
  config = config_of(tmp_path)
  path = str(tfds_sets.shards_of_test(tmp_path)[0])
  records = list(tf.data.TFRecordDataset(path))
  with tf.io.TFRecordWriter(path) as writer:
    for record in records[1:]:
      writer.write(record.numpy())
  split = registry.load(config, 'test')
  with pytest.raises(errors.UserError, match='tfds:shapes cannot be read'):
    list(pipeline.eval_batches(split, config.data, 4, range(4)))
  with pytest.raises(errors.UserError, match='tfds:shapes cannot be read'):
    take(train_batches(config, split='test'), 4)


@pytest.mark.slow
@pytest.mark.parametrize(
  'file_format, name',
  [('tfrecord', '{}, record {}: '), ('array_record', 'record {}: ')],
)
def test_flipped_bits_are_named_and_the_others_read(
  tmp_path, file_format, name
):
  tfds_sets.write(tmp_path, file_format)
  config = config_of(tmp_path)
  config.data.max_bad_fraction = 0.5
  config.data.train_crop, config.data.flip = 'none', False
  path = tfds_sets.shards_of_test(tmp_path)[1]

  def read():
    split = registry.load(config, 'test')
    bad = BadImages(split, config.data)
    batches = pipeline.eval_batches(split, config.data, 7, range(7), bad)
    (batch,) = batches
    images = map(tfds_sets.number_in_test, batch['image'])
    rows = zip(images, batch['label'], batch['mask'], strict=True)
    return [(i, int(label)) for i, label, mask in rows if mask], bad.lines

  sound, lines = read()
  assert len(sound) == 7 and not lines
  # Of the three records of this file, after two of the first file: the label
  # of one and the image of another.
  _, label, _ = (m.start() for m in re.finditer(b'label', path.read_bytes()))
  *_, image = (m.start() for m in re.finditer(b'PNG', path.read_bytes()))
  flips.flip(path, label + 11, 1)
  flips.flip(path, image + 20)
  seen, lines = read()
  assert seen == sound[:3] + sound[5:]
  for line, number in zip(lines, (1, 2), strict=True):
    where = (path, number) if file_format == 'tfrecord' else (number + 2,)
    assert line.startswith(name.format(*where))
  trained = {
    tfds_sets.number_in_test(image)
    for batch in take(train_batches(config, split='test'), 4)
    for image in batch['image']
  }
  assert trained == {number for number, _ in seen}


def test_damaged_and_missing_files(tmp_path):
  tfds_sets.write(tmp_path)
  config = config_of(tmp_path)
  shard = tfds_sets.shards_of_test(tmp_path)[0]
  shard.unlink()
  with pytest.raises(errors.UserError, match=r'lacks .*shapes-test'):
    registry.load(config, 'test')
  os.mkfifo(shard)
  with pytest.raises(errors.UserError, match=f'{shard} .* not a regular file'):
    registry.load(config, 'test')
  shard.unlink()
  (tmp_path / 'shapes' / '1.0.0' / 'dataset_info.json').write_text('{')
  with pytest.raises(errors.UserError, match='is damaged'):
    registry.load(config, 'train')


def test_a_missing_dataset_is_an_immediate_error(tmp_path):
  config = config_of(tmp_path)
  config.data.source = 'tfds:imagenet2012'
  start = time.monotonic()
  (problem,) = registry.check(config)
  assert time.monotonic() - start < 5
  assert f'--source=tfds:imagenet2012 --data_dir={tmp_path}' in problem
  assert str(tmp_path) in problem


def test_unknown_and_empty_splits_are_errors(shapes_dir):
  with pytest.raises(errors.UserError, match='is empty'):
    registry.load(config_of(shapes_dir), 'train[5:3]')
  with pytest.raises(errors.UserError, match="no split 'validation'"):
    registry.load(config_of(shapes_dir), 'validation')


@pytest.fixture
def in_memory(monkeypatch):
  """TensorFlow's file system ram://, which tfds then reads as gs://."""
  for name, new in (('_URI_SCHEMES', {'ram'}), ('_URI_PREFIXES', ('ram://',))):
    table = getattr(gpath, name)
    monkeypatch.setattr(gpath, name, type(table)((*table, *new)))
  monkeypatch.setitem(gpath._PREFIX_TO_BACKEND, 'ram', None)
  monkeypatch.setitem(gpath._URI_MAP_ROOT, 'ram://', '/ram/')
  prefixes = register._URI_PREFIXES_TO_CLS
  monkeypatch.setitem(prefixes, 'ram://', gpath.PosixGPath)
  return 'ram://datasets'


@pytest.mark.slow
def test_a_remote_dataset_gives_the_batches_of_a_local_one(tmp_path, in_memory):
  tfds_sets.write(tmp_path)
  # A damaged record in the middle of a file.
  shard = tfds_sets.shards_of_test(tmp_path)[1]
  flips.flip(shard, flips.begins(shard)[1] + 20)
  for path in tmp_path.rglob('*'):
    if path.is_file():
      name = path.relative_to(tmp_path)
      tf.io.gfile.makedirs(f'{in_memory}/{name.parent}')
      tf.io.gfile.copy(str(path), f'{in_memory}/{name}')

  def read(folder):
    config = config_of(folder)
    config.data.max_bad_fraction = 0.5
    split = registry.load(config, 'test')
    bad = BadImages(split, config.data)
    batches = pipeline.train_batches(split, config, 2, range(1, 3), bad)
    found = [next(batches) for _ in range(5)]
    batches.close()
    tested = registry.load(config, 'train')
    found += pipeline.eval_batches(tested, config.data, 4, range(4))
    return split.digest(), list(bad.reasons), found

  (digest, bad, local), remote = read(tmp_path), read(in_memory)
  assert digest == remote[0] and len(bad) == 1
  assert [os.path.basename(n) for n in bad] == [
    os.path.basename(n) for n in remote[1]
  ]
  for batch, other in zip(local, remote[2], strict=True):
    for key in batch:
      np.testing.assert_array_equal(batch[key], other[key])
