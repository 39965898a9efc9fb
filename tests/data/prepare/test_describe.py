"""What a split's images are like."""

import io

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from inception_jax.data import splits
from inception_jax.data.prepare import describe
from tests.support.tiny import tiniest_config


@pytest.fixture
def data():
  return tiniest_config().data


def encoded(size, kind='JPEG', mode='RGB', turn=None):
  buffer = io.BytesIO()
  options = {}
  if turn:
    options['exif'] = Image.Exif()
    options['exif'][0x0112] = turn
  Image.new(mode, size, 100).save(buffer, kind, **options)
  return buffer.getvalue()


def test_sizes_formats_and_classes_are_counted(data):
  images = [
    encoded((30, 20)),
    encoded((40, 50), turn=6),
    encoded((8, 9), 'PNG', 'RGBA'),
    encoded((8, 9), 'PNG', 'L'),
    encoded((7, 5), 'GIF', 'P'),
    encoded((30, 20))[:100],
    b'no image',
  ]
  split = splits.from_arrays(images, [0, 0, 1, 1, 1, 1, 3], 'abcd')
  found = describe.describe('train', split, data)
  assert found.counts.tolist() == [2, 4, 0, 1]
  # The header of the truncated one is gone, too.
  sizes = [(30, 20), (40, 50), (8, 9), (8, 9), (7, 5)]
  assert list(map(tuple, found.sizes)) == sizes
  assert found.formats == {'JPEG': 2, 'PNG': 2, 'GIF': 1, 'not known': 2}
  assert found.modes == {'RGB': 2, 'RGBA': 1, 'L': 1, 'P': 1}
  assert found.turned == 1
  assert [len(found.examples.get(i, ())) for i in range(4)] == [2, 3, 0, 0]
  for jpeg in found.examples[0]:
    with Image.open(io.BytesIO(jpeg)) as picture:
      assert (picture.format, picture.size) == ('JPEG', (112, 112))


def test_phones_jpegs_and_formats_that_pillow_reads_are_counted(data):
  buffer, exif = io.BytesIO(), Image.Exif()
  exif[0x0112] = 8
  first, second = Image.new('RGB', (30, 20)), Image.new('RGB', (6, 4))
  first.save(buffer, 'MPO', save_all=True, append_images=[second], exif=exif)
  kinds = ('TIFF', 'JPEG2000', 'WEBP')
  images = [buffer.getvalue(), *(encoded((30, 20), kind) for kind in kinds)]
  split = splits.from_arrays(images, [0] * 4, 'ab')
  found = describe.describe('train', split, data)
  assert found.formats == {'JPEG': 1, **dict.fromkeys(kinds, 1)}
  assert found.turned == 1
  assert found.sizes.tolist() == [[30, 20]] * 4
  assert len(found.examples[0]) == 4


@pytest.mark.slow
def test_examples_are_a_few_of_each_of_some_classes(data):
  # Each image has the level of its class.
  labels = np.repeat(np.arange(200), 6)
  images = np.tile(labels[:, None, None, None], (1, 2, 2, 1)).astype(np.uint8)
  names = list(map(str, range(200)))
  split = splits.from_arrays(images, labels, names)
  found = describe.describe('train', split, data)
  assert found.formats == {'raw': 1200}
  assert found.modes == {'L': 1200}
  assert len(found.examples) == 60
  assert {0, 199} <= found.examples.keys()
  for label, jpegs in found.examples.items():
    assert len(jpegs) == 4
    with Image.open(io.BytesIO(jpegs[0])) as picture:
      assert abs(np.asarray(picture).mean() - label) < 1


def test_records_in_file_order_are_read_but_for_those_that_fail(data):
  images = tf.constant([encoded((i + 1, 2)) for i in range(5)])

  def fetch(i):
    tf.debugging.assert_none_equal(i, tf.constant(3, tf.int64))
    return {'image': images[i], 'label': i % 2}

  split = splits.Sequential(
    size=5,
    class_names=('a', 'b'),
    epoch=lambda _: tf.data.Dataset.range(5),
    fetch=fetch,
    name=str,
    digest=str,
  )
  found = describe.describe('test', split, data)
  assert found.counts.tolist() == [3, 1]
  assert found.sizes[:, 0].tolist() == [1, 2, 3, 5]
