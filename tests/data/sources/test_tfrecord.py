"""`tfrecord`: files in the format of TF-slim's scripts."""

import os

import numpy as np
import pytest
import tensorflow as tf

from configs import digits as digits_recipe
from inception_jax import errors
from inception_jax.data import config_check
from inception_jax.data import decode
from inception_jax.data import pipeline
from inception_jax.data.bad_images import BadImages
from inception_jax.data.sources import registry
from inception_jax.models import factory
from tests.support import flips

SIZE = 23


def example(number, box=None):
  """Returns image `number`, of grey 10 · number and label number % 3 + 1."""
  image = np.full((10, 12, 3), 10 * number, np.uint8)
  feature = {
    'image/encoded': [tf.io.encode_jpeg(image, quality=100).numpy()],
    'image/class/label': [number % 3 + 1],
    'image/class/text': [b'x'],
  }
  if box:
    for name, edge in zip(('ymin', 'xmin', 'ymax', 'xmax'), box, strict=True):
      feature[f'image/object/bbox/{name}'] = [edge]
  kinds = {
    bytes: lambda v: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)),
    int: lambda v: tf.train.Feature(int64_list=tf.train.Int64List(value=v)),
    float: lambda v: tf.train.Feature(float_list=tf.train.FloatList(value=v)),
  }
  feature = {k: kinds[type(v[0])](v) for k, v in feature.items()}
  features = tf.train.Features(feature=feature)
  return tf.train.Example(features=features).SerializeToString()


def write(folder, split, count, shards):
  for shard in range(shards):
    path = folder / f'{split}-{shard:05}-of-{shards:05}'
    with tf.io.TFRecordWriter(str(path)) as writer:
      for number in range(shard, count, shards):
        writer.write(example(number))


def test_boxes_are_of_the_stored_images(folder):
  config = config_of(folder)
  assert config_check.check(config) == []
  config.data.exif = 'apply'
  (fault,) = config_check.check(config)
  assert fault.startswith("data.exif='apply': the boxes in TFRecords")


@pytest.fixture
def folder(tmp_path):
  write(tmp_path, 'train', SIZE, 4)
  write(tmp_path, 'validation', 7, 2)
  return tmp_path


def config_of(folder):
  config = factory.resolve(digits_recipe.get_config())
  config.model.num_classes = 3
  config.data.source = 'tfrecord'
  config.data.dir = str(folder)
  config.data.eval_split = 'validation'
  config.data.image_size = 12
  config.batch_size = 4
  return config


def numbers(batch):
  return [round(float(image.mean()) / 10) for image in batch['image']]


@pytest.mark.slow
def test_every_record_is_read_once_with_its_label(folder):
  config = config_of(folder)
  assert registry.check(config) == []
  opened = registry.load(config, 'validation')
  batches = list(pipeline.eval_batches(opened, config.data, 4, range(4)))
  seen = [
    (number, int(label))
    for batch in batches
    for number, label, mask in zip(
      numbers(batch), batch['label'], batch['mask'], strict=True
    )
    if mask
  ]
  assert sorted(seen) == [(i, i % 3) for i in range(7)]

  opened = registry.load(config, 'train')
  assert opened.size == SIZE
  straight = pipeline.train_batches(opened, config, 0, range(4))
  straight = [next(straight) for _ in range(12)]
  seen = [number for batch in straight for number in numbers(batch)]
  assert sorted(seen[:SIZE]) == sorted(seen[SIZE : 2 * SIZE])
  assert sorted(seen[:SIZE]) == list(range(SIZE))
  assert seen[:SIZE] != seen[SIZE : 2 * SIZE]
  # A resume at any step, by any number of hosts, reads the same.
  resumed = next(pipeline.train_batches(opened, config, 9, range(4)))
  np.testing.assert_array_equal(resumed['image'], straight[9]['image'])
  half = next(pipeline.train_batches(opened, config, 9, range(2, 4)))
  np.testing.assert_array_equal(half['image'], straight[9]['image'][2:])


def test_class_names(folder):
  config = config_of(folder)
  assert registry.load(config, 'train').class_names == ('0', '1', '2')
  config.model.num_classes = 0
  (problem,) = registry.check(config)
  assert 'has no labels.txt: set --config.model.num_classes' in problem
  (folder / 'labels.txt').write_text('0:tench\n1:great white: shark\n2:hen\n')
  assert registry.check(config) == []
  names = registry.load(config, 'train').class_names
  assert names == ('tench', 'great white: shark', 'hen')
  config.data.label_offset = 2
  opened = registry.load(config, 'train')
  with pytest.raises(errors.UserError, match='label -1 is not one of'):
    list(pipeline.eval_batches(opened, config.data, 4, range(4)))


@pytest.mark.slow
def test_missing_and_damaged_files(folder):
  config = config_of(folder)
  (folder / 'train-00001-of-00004').unlink()
  (folder / 'train-00003-of-00004').unlink()
  assert registry.check(config) == [
    f'{folder} lacks train-00001-of-00004',
    f'{folder} lacks train-00003-of-00004',
  ]
  config.data.train_split = 'training'
  (problem,) = registry.check(config)
  assert 'no training-00000-of-' in problem
  assert problem.endswith('its splits: train, validation')
  config.data.train_split = 'validation'
  path = folder / 'validation-00001-of-00002'
  content = path.read_bytes()
  for damaged in (content[:-1], content[:5], content + b'12'):
    path.write_bytes(damaged)
    with pytest.raises(errors.UserError) as error:
      registry.load(config, 'validation')
    (problem,) = error.value.faults
    assert f'{path} is damaged: its last record ends at' in problem
  path.write_bytes(bytes(100))
  with pytest.raises(errors.UserError, match='is not a TFRecord file'):
    registry.load(config, 'validation')
  # A record without an image is skipped and named.
  path.write_bytes(content.replace(b'image/encoded', b'image/encrypt'))
  config.data.max_bad_fraction = 0.5
  opened = registry.load(config, 'validation')
  batches = pipeline.eval_batches(opened, config.data, 4, range(4))
  assert sum(batch['mask'].sum() for batch in batches) == 4
  config.data.max_bad_fraction = 0.0
  with pytest.raises(errors.UserError) as error:
    list(pipeline.eval_batches(opened, config.data, 7, range(7)))
  assert f'{path}, byte 12: ' in error.value.faults[1]
  write(folder, 'empty', 0, 1)
  with pytest.raises(errors.UserError, match='empty has no records'):
    registry.load(config, 'empty')
  path.unlink()
  os.mkfifo(path)
  with pytest.raises(errors.UserError, match=f'{path} .* not a regular file'):
    registry.load(config, 'validation')


@pytest.mark.slow
def test_damaged_records_are_named_and_skipped(folder):
  config = config_of(folder)
  config.data.update(max_bad_fraction=0.5, flip=False, train_crop='none')
  even, odd = sorted(folder.glob('validation-*'))
  at = {
    number: (path, begin)
    for path, first in ((even, 0), (odd, 1))
    for number, begin in zip(
      range(first, 7, 2), flips.begins(path), strict=True
    )
  }
  label = even.read_bytes().index(b'label', at[2][1])
  assert label < at[4][1]
  # The label, 2 % 3 + 1, ends the second of its nested messages.
  for number, offset in ((1, -12), (2, label - at[2][1] + 11), (6, -11)):
    path, begin = at[number]
    flips.flip(path, begin + offset, 1)
  bad = BadImages(opened := registry.load(config, 'validation'), config.data)
  batches = list(pipeline.eval_batches(opened, config.data, 4, range(4), bad))
  seen = [
    (number, int(label))
    for batch in batches
    for number, label, mask in zip(
      numbers(batch), batch['label'], batch['mask'], strict=True
    )
    if mask
  ]
  assert sorted(seen) == [(i, i % 3) for i in (0, 3, 4, 5)]
  for line, number in zip(bad.lines, (2, 6, 1), strict=True):
    path, begin = at[number]
    assert line.startswith(f'{path}, byte {begin}: corrupted record at ')


def test_record_that_is_no_example_is_a_bad_image(folder):
  """TensorFlow's message quotes its bytes, which need not be a string."""
  with tf.io.TFRecordWriter(str(folder / 'bad-00000-of-00001')) as writer:
    writer.write(example(1))
    writer.write(b'\xff\xd8')
  config = config_of(folder)
  config.data.max_bad_fraction = 0.5
  opened = registry.load(config, 'bad')
  bad = BadImages(opened, config.data)
  (batch,) = pipeline.eval_batches(opened, config.data, 2, range(2), bad)
  assert batch['mask'].tolist() == [1, 0]
  (line,) = bad.lines
  assert line.endswith(r": Could not parse example input, value: '\xff\xd8'")


def test_crops_cover_a_part_of_the_object(tmp_path):
  # A small object in a corner, which most small crops would miss.
  path = tmp_path / 'train-00000-of-00001'
  box = (0.0, 0.0, 0.2, 0.2)
  with tf.io.TFRecordWriter(str(path)) as writer:
    writer.write(example(1, box))
  config = config_of(tmp_path)
  record = registry.load(config, 'train').fetch(tf.constant(0, tf.int64))
  np.testing.assert_allclose(record['boxes'], [box])
  image = np.zeros((100, 100, 3), np.uint8)
  image[:20, :20] = 255
  config.data.update(train_crop='tensorflow', crop_area=(0.1, 0.2))

  def shown(boxes):
    crops = [
      decode.train_image(
        image, tf.constant([0, i], tf.int64), config.data, boxes
      )
      for i in range(40)
    ]
    return np.mean([int(np.max(crop)) > 0 for crop in crops])

  image = tf.constant(image)
  assert shown(record['boxes']) == 1
  assert shown(None) < 0.5
  assert shown(tf.zeros((0, 4))) < 0.5
