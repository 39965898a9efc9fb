"""Sources and the order of their images."""

import io
import itertools
import time

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from configs import digits as digits_recipe
from inception_jax import errors
from inception_jax.data import decode
from inception_jax.data import order
from inception_jax.data import pipeline
from inception_jax.data.bad_images import BadImages
from inception_jax.data.sources import registry
from inception_jax.models import factory
from tests.support import tfds_sets


@pytest.fixture(scope='module', params=['tfrecord', 'array_record'])
def shapes_dir(request, tmp_path_factory):
  folder = tmp_path_factory.mktemp(request.param)
  tfds_sets.write(folder, request.param)
  return folder


def shapes_config(folder):
  """The set `shapes` as it is: no crop, no resize to speak of."""
  config = factory.resolve(digits_recipe.get_config())
  config.data.source = 'tfds:shapes'
  config.data.dir = str(folder)
  config.data.image_size = 12
  config.data.shuffle_buffer = 5
  config.batch_size = 4
  return config


def numbers(batch):
  """Which images these are, by their grey."""
  return [int(image[0, 0, 0]) // 9 for image in batch['image']]


def take(batches, count):
  return list(itertools.islice(batches, count))


def seen_in(batches, count):
  """Which images the first `count` batches hold, in order."""
  return [n for batch in take(batches, count) for n in numbers(batch)]


def train(config, start=0, rows=None, split='train'):
  source = registry.load(config, split)
  rows = rows or range(config.batch_size)
  return pipeline.train_batches(source, config, start, rows)


# digits


def test_digits_are_the_bundled_images_split_for_good():
  from sklearn import datasets

  bunch = datasets.load_digits()
  config = factory.resolve(digits_recipe.get_config())
  train_split, test_split = (
    registry.load(config, split) for split in ('train', 'test')
  )
  assert (train_split.size, test_split.size) == (1437, 360)
  assert train_split.class_names == tuple('0123456789')
  labels = [int(test_split.fetch(i)['label']) for i in range(20)]
  assert labels == bunch.target[:100:5].tolist()
  image = train_split.fetch(0)['image'].numpy()
  np.testing.assert_array_equal(
    image[..., 0], np.round(bunch.images[1] * 15.9375)
  )
  test_images = {
    test_split.fetch(i)['image'].numpy().tobytes() for i in range(360)
  }
  train_images = {
    train_split.fetch(i)['image'].numpy().tobytes() for i in range(1437)
  }
  assert not test_images & train_images


# order, of an indexed source (digits) and of tfds sets in both formats


def test_each_epoch_is_a_fresh_permutation(shapes_dir):
  config = shapes_config(shapes_dir)
  seen = seen_in(train(config), 23)  # 4 epochs of 23
  epochs = [seen[i : i + 23] for i in range(0, 92, 23)]
  assert all(sorted(epoch) == list(range(23)) for epoch in epochs)
  assert len({tuple(epoch) for epoch in epochs}) == 4


def test_order_follows_the_seed(shapes_dir):
  config = shapes_config(shapes_dir)
  first = seen_in(train(config), 5)
  assert first == seen_in(train(config), 5)
  config.seed = 1
  assert first != seen_in(train(config), 5)


def test_labels_stay_with_their_images(shapes_dir):
  for batch in take(train(shapes_config(shapes_dir)), 8):
    assert [n % 3 for n in numbers(batch)] == batch['label'].tolist()


@pytest.mark.parametrize('start', [1, 5, 6, 13])
def test_restart_at_any_step(shapes_dir, start):
  config = shapes_config(shapes_dir)
  config.data.train_crop = 'random'  # its draws must come back, too
  straight = take(train(config), 16)[start:]
  resumed = take(train(config, start), 16 - start)
  for a, b in zip(straight, resumed, strict=True):
    np.testing.assert_array_equal(a['image'], b['image'])
    np.testing.assert_array_equal(a['label'], b['label'])


def test_hosts_read_their_rows_of_the_same_batches(shapes_dir):
  config = shapes_config(shapes_dir)
  whole = take(train(config), 10)
  halves = [
    take(train(config, 0, rows), 10) for rows in (range(2), range(2, 4))
  ]
  for batch, first, second in zip(whole, *halves, strict=True):
    np.testing.assert_array_equal(
      batch['image'], np.concatenate([first['image'], second['image']])
    )


def test_restart_of_an_indexed_source_far_into_training():
  config = factory.resolve(digits_recipe.get_config())
  step = 10**9
  (a,) = take(train(config, step), 1)
  b = take(train(config, step - 3), 4)[-1]
  np.testing.assert_array_equal(a['image'], b['image'])


def test_random_crops_differ_from_position_to_position():
  config = factory.resolve(digits_recipe.get_config())
  config.data.crop_area = (0.08, 1.0)
  image = tf.constant(np.arange(64, dtype=np.uint8).reshape(8, 8, 1))
  crops = {
    decode.train_image(image, tf.constant([0, p], tf.int64), config.data)
    .numpy()
    .tobytes()
    for p in range(20)
  }
  assert len(crops) > 15


# evaluation


@pytest.mark.parametrize('batch_size', [1, 3, 7, 16])
def test_evaluation_reads_every_image_once(shapes_dir, batch_size):
  config = shapes_config(shapes_dir)
  split = registry.load(config, 'test')
  rows = range(batch_size)
  batches = list(pipeline.eval_batches(split, config, batch_size, rows))
  assert len(batches) == order.num_eval_batches(split, batch_size)
  seen = []
  for batch in batches:
    assert batch['image'].shape == (batch_size, 12, 12, 3)
    for image, label, mask in zip(*batch.values(), strict=True):
      if mask:
        seen.append(((int(image[0, 0, 0]) - 20) // 9, int(label)))
  assert sorted(seen) == [(i, i % 3) for i in range(7)]


def test_evaluation_hosts_share_the_padding(shapes_dir):
  config = shapes_config(shapes_dir)
  split = registry.load(config, 'test')
  seen = []
  for rows in (range(2), range(2, 4), range(4, 6)):
    for batch in pipeline.eval_batches(split, config, 6, rows):
      real = batch['image'][batch['mask'] == 1]
      seen += [(int(image[0, 0, 0]) - 20) // 9 for image in real]
  assert sorted(seen) == list(range(7))


def test_no_batches_wait_for_a_thread_that_tunes(monkeypatch):
  # TensorFlow's sleeps, and keeps up to a minute whoever is through.
  config = factory.resolve(digits_recipe.get_config())
  split = registry.load(config, 'test')
  read = []
  real = tf.data.Dataset.as_numpy_iterator

  def reading(self):
    read.append(self)
    return real(self)

  monkeypatch.setattr(tf.data.Dataset, 'as_numpy_iterator', reading)
  next(pipeline.eval_batches(split, config, 8, range(8)))
  next(pipeline.train_batches(split, config, 0, range(8)))
  assert len(read) == 2
  assert [x.options().autotune.enabled for x in read] == [False] * 2


# tfds


def test_tfds_reads_sub_splits(shapes_dir):
  config = shapes_config(shapes_dir)
  head, tail = (
    registry.load(config, split) for split in ('train[:17]', 'train[17:]')
  )
  assert (head.size, tail.size) == (17, 6)
  seen = []
  for split in (head, tail):
    for batch in pipeline.eval_batches(split, config, 1, range(1)):
      seen += numbers(batch)
  assert sorted(seen) == list(range(23))


@pytest.mark.parametrize('encoding', ['png', 'jpeg'])
def test_grey_images_become_rgb(tmp_path, encoding):
  tfds_sets.write(tmp_path, encoding=encoding, channels=1)
  config = shapes_config(tmp_path)
  for crop in ('none', 'random'):
    config.data.train_crop = crop
    (batch,) = take(train(config), 1)
    assert batch['image'].shape == (4, 12, 12, 3)
    assert (batch['image'] == batch['image'][..., :1]).all()


def test_newest_version_unless_one_is_named(tmp_path):
  from inception_jax.data.sources import tfds

  config = shapes_config(tmp_path)
  for version in ('1.0.0', '1.10.0', '1.9.0'):
    folder = tmp_path / 'shapes' / version
    folder.mkdir(parents=True)
    (folder / 'dataset_info.json').touch()
  (tmp_path / 'shapes' / '2.0.0').mkdir()  # begun, never finished
  newest = lambda: [path.name for path in tfds.builder_dirs(config)]
  assert newest() == ['1.10.0']
  config.data.source = 'tfds:shapes:1.9.0'
  assert newest() == ['1.9.0']
  config.data.source = 'tfds:shapes/other'
  assert newest() == []


def test_one_of_several_configs_must_be_named(tmp_path):
  config = shapes_config(tmp_path)
  for name in ('red', 'blue'):
    folder = tmp_path / 'shapes' / name / '1.0.0'
    folder.mkdir(parents=True)
    (folder / 'dataset_info.json').touch()
  (fault,) = registry.check(config)
  assert 'name one of its configs: blue, red' in fault
  config.data.source = 'tfds:shapes/red'
  assert registry.check(config) == []


def shards(folder):
  return sorted((folder / 'shapes' / '1.0.0').glob('*test*-of-*'))


def test_a_record_missing_from_a_file_is_found(tmp_path):
  tfds_sets.write(tmp_path)
  config = shapes_config(tmp_path)
  path = str(shards(tmp_path)[0])
  records = list(tf.data.TFRecordDataset(path))
  with tf.io.TFRecordWriter(path) as writer:
    for record in records[1:]:
      writer.write(record.numpy())
  split = registry.load(config, 'test')
  with pytest.raises(errors.UserError, match='tfds:shapes cannot be read'):
    list(pipeline.eval_batches(split, config, 4, range(4)))
  with pytest.raises(errors.UserError, match='tfds:shapes cannot be read'):
    take(train(config, split='test'), 4)


def damage(path, *numbers):
  """Cuts the images of some records of a TFRecord file short."""
  records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
  with tf.io.TFRecordWriter(str(path)) as writer:
    for i, record in enumerate(records):
      example = tf.train.Example.FromString(record)
      (image,) = example.features.feature['image'].bytes_list.value
      if i in numbers:
        example.features.feature['image'].bytes_list.value[:] = [image[:-30]]
      writer.write(example.SerializeToString())


def test_bad_images_of_tfrecords_are_replaced_and_named(tmp_path):
  tfds_sets.write(tmp_path)
  config = shapes_config(tmp_path)
  config.data.max_bad_fraction = 0.3
  config.data.train_crop = 'none'
  config.data.flip = False
  good = {s: seen_in(train(config, split=s), 6) for s in ('train', 'test')}
  first, *_ = numbers(next(evaluated(config)))
  path = shards(tmp_path)[1]
  damage(path, 0, 2)
  bad = BadImages(registry.load(config, 'test'), config, str(tmp_path))
  read = list(evaluated(config, bad))
  assert sum(batch['mask'].sum() for batch in read) == 5
  names = [line.split(': ')[0] for line in bad.lines]
  assert names == [f'{path}, record 0', f'{path}, record 2']
  assert (tmp_path / 'bad_images.txt').read_text().splitlines() == bad.lines
  assert len(list(evaluated(config, bad))) == len(read)

  # In training, the first good one of the files stands in their places.
  straight = seen_in(train(config, split='test'), 6)
  differ = [
    (was, now)
    for was, now in zip(good['test'], straight, strict=True)
    if was != now
  ]
  assert 4 <= len(differ) <= 8
  assert {now for _, now in differ} == {first}
  assert len({was for was, _ in differ}) == 2
  for start in (1, 4):
    resumed = seen_in(train(config, start, split='test'), 6 - start)
    assert resumed == straight[4 * start :]
  assert seen_in(train(config), 6) == good['train']
  config.data.max_bad_fraction = 0.1
  with pytest.raises(errors.UserError, match='1 of 7 images cannot be'):
    take(train(config, split='test'), 6)


def evaluated(config, bad=None):
  split = registry.load(config, 'test')
  return pipeline.eval_batches(split, config, 4, range(4), bad)


def test_damaged_and_missing_files(tmp_path):
  tfds_sets.write(tmp_path)
  config = shapes_config(tmp_path)
  shards(tmp_path)[0].unlink()
  with pytest.raises(errors.UserError, match=r'lacks .*shapes-test'):
    registry.load(config, 'test')
  (tmp_path / 'shapes' / '1.0.0' / 'dataset_info.json').write_text('{')
  with pytest.raises(errors.UserError, match='is damaged'):
    registry.load(config, 'train')


def test_labels_that_are_no_classes_are_refused(tmp_path):
  tfds_sets.write(tmp_path, unlabelled=('test',))
  config = shapes_config(tmp_path)
  split = registry.load(config, 'test')
  with pytest.raises(errors.UserError, match='label -1 is not one of'):
    list(pipeline.eval_batches(split, config, 4, range(4)))


def test_unprepared_data_is_said_at_once(tmp_path):
  config = shapes_config(tmp_path)
  config.data.source = 'tfds:imagenet2012'
  start = time.monotonic()
  (fault,) = registry.check(config)
  assert time.monotonic() - start < 5
  assert f'--source=tfds:imagenet2012 --data_dir={tmp_path}' in fault
  assert str(tmp_path) in fault


def test_a_split_that_is_not_there(shapes_dir):
  with pytest.raises(errors.UserError, match='is empty'):
    registry.load(shapes_config(shapes_dir), 'train[5:3]')
  with pytest.raises(errors.UserError, match="no split 'validation'"):
    registry.load(shapes_config(shapes_dir), 'validation')


def test_central_crop_and_resize():
  config = factory.resolve(digits_recipe.get_config())
  config.data.image_size = 10
  config.data.eval_crop_fraction = 0.5
  image = np.zeros((20, 20, 3), np.uint8)
  image[5:15, 5:15] = 200  # all that the crop leaves
  for given in (
    image,
    tf.io.encode_png(image),
    tf.io.encode_jpeg(image, quality=100),
  ):
    out = decode.eval_image(tf.convert_to_tensor(given), config.data)
    assert out.shape == (10, 10, 3)
    assert abs(int(out.numpy()[2:8, 2:8].mean()) - 200) <= 2


def test_the_nearest_pixels_are_taken_as_they_are():
  config = factory.resolve(digits_recipe.get_config())
  config.data.image_size, config.data.channels = 8, 3
  config.data.interpolation = 'nearest'
  config.data.eval_crop_mode = 'squash'
  image = np.random.default_rng(0).integers(0, 256, (24, 4, 3), np.uint8)
  found = decode.eval_image(tf.constant(image), config.data)
  np.testing.assert_array_equal(found, image[1::3].repeat(2, axis=1))


@pytest.mark.parametrize('mode', ['central', 'short_side', 'squash'])
@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
@pytest.mark.parametrize('shape', [(70, 101), (90, 61), (40, 40), (80, 36)])
def test_evaluation_crops_are_the_ones_of_pil(mode, interpolation, shape):
  config = factory.resolve(digits_recipe.get_config())
  config.data.image_size = size = 32
  config.data.eval_crop_mode = mode
  config.data.eval_crop_fraction = 0.875
  config.data.interpolation = interpolation
  noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
  image = Image.fromarray(noise).resize(shape[::-1], Image.BICUBIC)
  method = {'bilinear': Image.BILINEAR, 'bicubic': Image.BICUBIC}[interpolation]
  width, height = image.size
  if mode == 'squash':
    expected = image.resize((size, size), method)
  elif mode == 'central':
    w, h = round(0.875 * width), round(0.875 * height)
    x, y = (width - w) // 2, (height - h) // 2
    cropped = image.crop((x, y, x + w, y + h))
    expected = cropped.resize((size, size), method)
  else:  # torchvision: Resize(36), CenterCrop(32)
    w, h = (
      (36, int(36 * height / width))
      if width < height
      else (int(36 * width / height), 36)
    )
    x, y = round((w - size) / 2), round((h - size) / 2)
    resized = image.resize((w, h), method)
    expected = resized.crop((x, y, x + size, y + size))
  expected = np.asarray(expected)
  png = tf.io.encode_png(np.asarray(image))
  for given in (tf.convert_to_tensor(np.asarray(image)), png):
    found = decode.eval_image(given, config.data).numpy()
    np.testing.assert_array_equal(found, expected)
  found = decode.eval_image(png, config.data, python=False).numpy().astype(int)
  assert found.shape == (size, size, 3)
  off = np.abs(found - expected)
  # Halves, which PIL's whole-number weights round either way, are frequent
  # with bilinear's.
  most, mean = {'bilinear': (2, 0.07), 'bicubic': (1, 0.01)}[interpolation]
  assert off.max() <= most
  assert off.mean() < mean


def test_a_jpeg_that_is_too_large_is_refused_without_python_too():
  config = factory.resolve(digits_recipe.get_config())
  config.data.max_pixels = 99
  jpeg = tf.io.encode_jpeg(np.zeros((10, 10, 3), np.uint8))
  with pytest.raises(tf.errors.InvalidArgumentError, match='more pixels than'):
    decode.eval_image(jpeg, config.data, python=False)
  config.data.max_pixels = 100
  decode.eval_image(jpeg, config.data, python=False)


@pytest.mark.parametrize('mode', ['central', 'short_side', 'squash'])
def test_evaluation_decodes_a_jpeg_as_pil_does(mode):
  config = factory.resolve(digits_recipe.get_config())
  config.data.image_size = 64
  config.data.eval_crop_mode = mode
  config.data.eval_crop_fraction = 0.875
  noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
  file = io.BytesIO()
  Image.fromarray(noise).save(file, 'jpeg', quality=95)
  decoded = np.asarray(Image.open(file).convert('RGB'))
  found, expected = (
    decode.eval_image(tf.constant(x), config.data).numpy().astype(int)
    for x in (file.getvalue(), decoded)
  )
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('side', [20, 48, 64, 65, 90])
def test_training_looks_at_every_pixel_and_no_closer_than_it_must(side):
  config = factory.resolve(digits_recipe.get_config())
  config.data.image_size = size = 32
  config.data.train_crop = 'none'
  config.data.interpolation = 'bilinear'
  noise = np.random.default_rng(0).integers(0, 256, (side, 40, 3), np.uint8)
  out = decode.train_image(tf.constant(noise), None, config.data)
  plain = tf.image.resize(noise, (size, size))
  if side <= 2 * size:
    np.testing.assert_array_equal(out, np.floor(plain + np.float32(0.5)))
  else:
    image = Image.fromarray(noise).resize((size, size), Image.BILINEAR)
    np.testing.assert_array_equal(out, np.asarray(image))
    assert np.abs(plain - np.asarray(image)).max() > 20


@pytest.mark.parametrize(
  'side, by',
  [(63, 1), (64, 2), (127, 2), (128, 4), (255, 4), (256, 8), (999, 8)],
)
def test_a_large_jpeg_is_trained_on_in_averages_of_its_pixels(side, by):
  config = factory.resolve(digits_recipe.get_config())
  config.data.image_size = 32
  config.data.train_crop = 'random'
  config.data.crop_area = config.data.crop_ratio = (1.0, 1.0)
  config.data.channels = 3
  random = np.random.default_rng(0)
  coarse = random.integers(0, 256, (4, 4, 3), np.uint8)
  photo = np.asarray(Image.fromarray(coarse).resize((side, side)), np.int16)
  photo = (photo + random.integers(-9, 10, photo.shape)).clip(0, 255)
  jpeg = tf.io.encode_jpeg(
    photo.astype(np.uint8), quality=95, chroma_downsampling=False
  )
  seed = tf.constant([0, 0], tf.int64)
  crop = decode.train_crop(jpeg, seed, config.data).numpy()
  assert crop.shape == (side // by, side // by, 3)
  whole = np.asarray(Image.open(io.BytesIO(jpeg.numpy())))
  last = by * (side // by)
  squares = whole[:last, :last].reshape(side // by, by, side // by, by, 3)
  off = crop - squares.mean((1, 3))
  assert np.abs(off).mean() < 1.5
  # The fast transform, of whole ones alone, is not centred.
  assert np.abs(off.mean((0, 1))).max() < (1.5 if by == 1 else 0.5)
  image = decode.train_image(jpeg, seed, config.data).numpy()
  exact = Image.fromarray(whole).resize((32, 32), Image.BILINEAR)
  assert np.abs(image - np.asarray(exact, float)).mean() < 3


def test_synthetic_images_depend_on_the_index_alone():
  config = factory.resolve(digits_recipe.get_config())
  config.data.source = 'synthetic'
  config.model.num_classes = 7
  split = registry.load(config, 'train')
  first, again, second = (
    split.fetch(tf.constant(i, tf.int64)) for i in (3, 3, 4)
  )
  np.testing.assert_array_equal(first['image'], again['image'])
  assert (first['image'].numpy() != second['image'].numpy()).any()
  assert first['image'].shape == (16, 16, 3)
  assert len(split.class_names) == 7
  labels = {
    int(split.fetch(tf.constant(i, tf.int64))['label']) for i in range(99)
  }
  assert labels == set(range(7))
