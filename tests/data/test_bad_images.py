"""Images that cannot be decoded: replaced, counted, named, limited."""

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from inception_jax import errors
from inception_jax.data import pipeline
from inception_jax.data import reading
from inception_jax.data.bad_images import BadImages
from inception_jax.data.sources import registry
from tests.support import tfds_sets
from tests.support.image_folders import config_of
from tests.support.image_folders import write_image
from tests.support.tfds_sets import numbers
from tests.support.tfds_sets import numbers_in
from tests.support.tfds_sets import take
from tests.support.tfds_sets import train_batches


def noisy(path, size=40):
  """Writes a JPEG that cannot be decoded once it is cut in half."""
  path.parent.mkdir(parents=True, exist_ok=True)
  pixels = np.random.default_rng(len(str(path))).integers(
    0, 256, (size, size, 3), np.uint8
  )
  Image.fromarray(pixels).save(path, quality=95)
  return path


@pytest.fixture
def damaged(tmp_path):
  """20 images per split, six of them bad, each in a different way."""
  for split in ('train', 'val'):
    where = tmp_path / split / 'x'
    for i in range(20):
      write_image(where / f'{i:02}.png', 10 * i)
    content = noisy(where / '03.jpg').read_bytes()
    (where / '03.jpg').write_bytes(content[: len(content) // 2])
    (where / '03.png').unlink()
    (where / '04.png').write_bytes(b'')
    (where / '05.png').write_bytes(b'junk')
    content = (where / '10.png').read_bytes()
    (where / '10.png').write_bytes(content[:-30])
    write_image(where / '15.png', 0)
    Image.new('L', (300, 200)).save(where / '15.png')
    (where / '19.png').unlink()
    noisy(where / '19.jpg', 200)
  return tmp_path


BAD = ['03.jpg', '04.png', '05.png', '10.png', '15.png', '19.jpg']


def damaged_config(folder, **data):
  data = {'max_bad_fraction': 0.3, 'max_pixels': 30_000, **data}
  config = config_of(folder, train_crop='none', **data)
  config.batch_size = 6
  return config


@pytest.mark.slow
def test_evaluation_skips_bad_images_and_lists_them(damaged, tmp_path):
  config = damaged_config(damaged)
  opened = registry.load(config, 'validation')
  path = tmp_path / 'bad_images.txt'
  bad = BadImages(opened, config.data, str(tmp_path))
  for _ in range(2):  # in the second pass, the bad images are known
    batches = pipeline.eval_batches(opened, config.data, 6, range(6), bad)
    seen = [
      round(float(image.mean())) // 10
      for batch in batches
      for image, mask in zip(batch['image'], batch['mask'], strict=True)
      if mask
    ]
    good = [i for i in range(20) if i not in (3, 4, 5, 10, 15, 19)]
    assert seen == good
  lines = path.read_text().splitlines()
  names = [line.split(': ')[0] for line in lines]
  assert names == [f'{damaged}/val/x/{name}' for name in BAD]
  assert '300×200 is more than data.max_pixels=30000' in lines[4]
  assert '200×200 is more than data.max_pixels=30000' in lines[5]


@pytest.mark.slow
def test_training_replaces_bad_images(damaged):
  config = damaged_config(damaged)
  opened = registry.load(config, 'train')

  def read(start, count, rows=range(6)):
    batches = pipeline.train_batches(opened, config, start, rows)
    return [next(batches)['image'] for _ in range(count)]

  straight = read(0, 10)  # three epochs
  for start in (1, 4, 9):
    for a, b in zip(straight[start:], read(start, 10 - start), strict=True):
      np.testing.assert_array_equal(a, b)
  halves = [read(0, 10, rows) for rows in (range(3), range(3, 6))]
  for whole, *parts in zip(straight, *halves, strict=True):
    np.testing.assert_array_equal(whole, np.concatenate(parts))
  # An epoch has every good image, and again the one after each bad image.
  seen = np.concatenate(straight).mean((1, 2, 3))[:20]
  seen = sorted(round(float(x)) // 10 for x in seen)
  assert seen == sorted(
    [i for i in range(20) if i not in (3, 4, 5, 10, 15, 19)]
    + [6, 6, 6, 11, 16, 0]
  )


@pytest.mark.slow
def test_a_bad_image_rebuilds_the_reader_once(damaged, monkeypatch):
  built, build = [], reading.dataset
  monkeypatch.setattr(
    reading, 'dataset', lambda *args: built.append(0) or build(*args)
  )
  config = damaged_config(damaged)
  batches = pipeline.train_batches(
    registry.load(config, 'train'), config, 0, range(6)
  )
  for _ in range(14):  # four epochs, of 20 images
    next(batches)
  # Six images are bad, of which one batch may have several.
  assert 2 <= len(built) <= 7


def test_too_many_bad_images_are_an_error(damaged, tmp_path):
  config = damaged_config(damaged, max_bad_fraction=0.1)
  opened = registry.load(config, 'validation')
  path = tmp_path / 'bad_images.txt'
  bad = BadImages(opened, config.data, str(tmp_path))
  with pytest.raises(errors.UserError) as error:
    list(pipeline.eval_batches(opened, config.data, 6, range(6), bad))
  first, *rest = error.value.faults
  assert first == (
    '3 of 20 images cannot be decoded, more than data.max_bad_fraction=0.1; '
    f'all are in {path}:'
  )
  assert len(rest) == 3
  assert f'{damaged}/val/x/03.jpg: ' in rest[0]


def truncate_images(path, *numbers):
  """Cuts off the end of the images in some records of a TFRecord file."""
  records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
  with tf.io.TFRecordWriter(str(path)) as writer:
    for i, record in enumerate(records):
      example = tf.train.Example.FromString(record)
      (image,) = example.features.feature['image'].bytes_list.value
      if i in numbers:
        example.features.feature['image'].bytes_list.value[:] = [image[:-30]]
      writer.write(example.SerializeToString())


def evaluated(config, bad=None):
  split = registry.load(config, 'test')
  return pipeline.eval_batches(split, config.data, 4, range(4), bad)


@pytest.mark.slow
def test_bad_images_of_tfrecords_are_replaced_and_named(tmp_path):
  tfds_sets.write(tmp_path)
  config = tfds_sets.config_of(tmp_path)
  config.data.max_bad_fraction = 0.3
  config.data.train_crop = 'none'
  config.data.flip = False
  seen_in = lambda start, count, split: numbers_in(
    train_batches(config, start, split=split), count
  )
  good = {split: seen_in(0, 6, split) for split in ('train', 'test')}
  first, *_ = numbers(next(evaluated(config)))
  path = tfds_sets.shards_of_test(tmp_path)[1]
  truncate_images(path, 0, 2)
  bad = BadImages(registry.load(config, 'test'), config.data, str(tmp_path))
  batches = list(evaluated(config, bad))
  assert sum(batch['mask'].sum() for batch in batches) == 5
  names = [line.split(': ')[0] for line in bad.lines]
  assert names == [f'{path}, record 0', f'{path}, record 2']
  assert (tmp_path / 'bad_images.txt').read_text().splitlines() == bad.lines
  assert len(list(evaluated(config, bad))) == len(batches)

  # In training, the first good image of the files replaces them.
  straight = seen_in(0, 6, 'test')
  differ = [
    (was, now)
    for was, now in zip(good['test'], straight, strict=True)
    if was != now
  ]
  assert 4 <= len(differ) <= 8
  assert {now for _, now in differ} == {first}
  assert len({was for was, _ in differ}) == 2
  for start in (1, 4):
    resumed = seen_in(start, 6 - start, 'test')
    assert resumed == straight[4 * start :]
  assert seen_in(0, 6, 'train') == good['train']
  config.data.max_bad_fraction = 0.1
  with pytest.raises(errors.UserError, match='1 of 7 images cannot be'):
    take(train_batches(config, split='test'), 6)
