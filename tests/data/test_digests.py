"""Digests of splits: equal for equal data, in another place as well."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from inception_jax.data.sources import registry
from tests.data.sources import test_tfrecord
from tests.support import flips
from tests.support import image_folders
from tests.support import tfds_sets


def digest(config, split):
  return registry.load(config, split).digest()


def test_digest_of_a_folder(tmp_path):
  folder, other = tmp_path / 'folder', tmp_path / 'other'
  for name in ('a/0', 'a/1', 'b/0', 'b/1'):
    path = folder / 'train' / f'{name}.bmp'  # all of one size
    image_folders.write_image(path, len(name) + 10 * int(name[2]))
  of = lambda where: digest(image_folders.config_of(where), 'train')
  sound, seen = of(folder), set()

  def renamed(train):
    (train / 'a' / '0.bmp').rename(train / 'a' / '2.bmp')

  def resized(train):
    image_folders.write_image(train / 'b' / '1.bmp', 3, 'L')

  def swapped(train):
    (train / 'a' / '0.bmp').rename(train / 'x')
    (train / 'a' / '1.bmp').rename(train / 'a' / '0.bmp')
    (train / 'x').rename(train / 'a' / '1.bmp')

  def listed(train):
    names = ('a/0', 'a/1', 'b/0', 'b/1')
    lines = [f'train/{x}.bmp {i % 2}\n' for i, x in enumerate(names)]
    (train.parent / 'train_list.txt').write_text(''.join(lines))

  for change in (renamed, resized, swapped, listed):
    shutil.copytree(folder, other)
    assert of(other) == sound
    change(other / 'train')
    seen.add(of(other))
    shutil.rmtree(other)
  assert len({sound, *seen}) == 5


def test_digest_of_tfrecords(tmp_path):
  test_tfrecord.write(tmp_path, 'train', 5, 2)
  config = test_tfrecord.config_of(tmp_path)
  sound = digest(config, 'train')
  assert digest(config, 'train') == sound
  path = tmp_path / 'train-00000-of-00002'
  records = [x.numpy() for x in tf.data.TFRecordDataset(str(path))]
  with tf.io.TFRecordWriter(str(path)) as writer:
    for record in records:
      at = record.index(b'label') + 11
      writer.write(record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :])
  assert digest(config, 'train') != sound


@pytest.mark.parametrize('file_format', ['tfrecord', 'array_record'])
def test_digest_of_tfds(tmp_path, file_format):
  tfds_sets.write(tmp_path / 'a', file_format)
  shutil.copytree(tmp_path / 'a', tmp_path / 'b')
  a, b = (tfds_sets.config_of(tmp_path / name) for name in 'ab')
  assert digest(a, 'test') == digest(b, 'test')
  splits = ('test', 'train', 'train[:9]', 'train[9:]')
  assert len({digest(a, split) for split in splits}) == 4
  path = tfds_sets.shards_of_test(tmp_path / 'b')[0]
  flips.flip(path, path.read_bytes().index(b'label') + 11)
  assert digest(a, 'test') != digest(b, 'test')


def test_digest_of_arrays(tiny):
  train, test = (registry.load(tiny, split) for split in ('train', 'test'))
  assert train.digest() == registry.load(tiny, 'train').digest()
  assert train.digest() != test.digest()
  images = np.zeros((2, 3, 3, 1), np.uint8)
  of = lambda *args: registry.splits.from_arrays(*args, ('a', 'b')).digest()
  assert of(images, [0, 1]) != of(images, [1, 0])
  assert of(['x', 'yz'], [0, 1]) != of(['xy', 'z'], [0, 1])
