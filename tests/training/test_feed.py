"""Training the classifier on cached features of a frozen network."""

import itertools

import jax
import numpy as np
import pytest
import tensorflow as tf

import inception_jax
from inception_jax.data import decode
from inception_jax.data import pipeline
from inception_jax.data import splits
from inception_jax.data.augment import transforms
from inception_jax.data.sources import registry
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.evaluation import feature_store
from inception_jax.evaluation import features
from inception_jax.training import caching
from inception_jax.training import feed
from inception_jax.training import preflight
from inception_jax.training import train_state
from inception_jax.weights import pretrained
from tests.support.checkpoints import names_in
from tests.support.checkpoints import read_with_orbax
from tests.support.flips import flip
from tests.support.pictures import config_of
from tests.support.pictures import network
from tests.support.pictures import save_run
from tests.support.pictures import write
from tests.support.runs import assert_equal_states
from tests.support.runs import metrics
from tests.support.runs import train
from tests.support.train_steps import assert_trees_close

SETTINGS = {
  **caching.FIXED,
  'fine_tune.cache_features': True,
  'data.max_bad_fraction': 0.5,
  'train_for': '3 epochs',  # of 24 images
  'batch_size': 8,
  'eval_every': '5 steps',
  'checkpoint_every': '5 steps',
  'log_every': '1 step',
  'schedule.learning_rate': 0.1,
}


@pytest.fixture(scope='module', autouse=True)
def small_files():
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(feature_store, 'IMAGES_A_FILE', 10)
    yield


@pytest.fixture(scope='module')
def images(tmp_path_factory):
  """24 images to train and evaluate on, of which one cannot be decoded."""
  root = tmp_path_factory.mktemp('images')
  write(root)
  (root / 'val' / 'cat' / '05.png').write_bytes(b'junk')
  return root


@pytest.fixture(scope='module')
def weights(tmp_path_factory, images):
  """Pretrained weights, whose features differ between images."""
  return save_run(tmp_path_factory.mktemp('weights'), config_of(images), 0)


def make_config(images, weights):
  config = config_of(images, train_split='val')
  config.update_from_flattened_dict(SETTINGS)
  config.fine_tune.checkpoint = weights
  return config


@pytest.fixture
def config(images, weights):
  return make_config(images, weights)


@pytest.fixture(scope='module')
def on_images(tmp_path_factory, images, weights, one_device):
  """A run that reads the images in each epoch."""
  config = make_config(images, weights)
  assert config.model.dropout_rate and config.ema_decay and config.eval_raw
  config.fine_tune.cache_features = False
  workdir = tmp_path_factory.mktemp('on_images')
  assert train(workdir, config, one_device)['count'] == 23
  return workdir


@pytest.fixture(scope='module')
def on_features(tmp_path_factory, images, weights, one_device):
  """The same run on cached features."""
  workdir = tmp_path_factory.mktemp('on_features')
  train(workdir, make_config(images, weights), one_device)
  return workdir


def evaluations(workdir):
  """The evaluations of a run, without its times."""
  keys = ('step', 'loss', 'top1', 'balanced_accuracy', 'count')
  return [
    [line[key] for key in keys]
    for line in metrics(workdir)
    if line['split'] != 'train'
  ]


def losses(workdir):
  return [line['loss'] for line in metrics(workdir, 'train')]


def assert_equal_runs(a, b):
  """Asserts that two runs agree, up to rounding, in all they have written."""
  np.testing.assert_allclose(losses(a), losses(b), rtol=1e-5)
  np.testing.assert_allclose(evaluations(a), evaluations(b), rtol=1e-5)
  # Checkpoints are of the whole network.
  states = [read_with_orbax(workdir, 9) for workdir in (a, b)]
  assert_trees_close(*states, rtol=1e-4, atol=1e-6)
  texts = [(run / 'bad_images.txt').read_text() for run in (a, b)]
  assert texts[0] == texts[1]


def test_cached_features_train_as_their_images_do(on_images, on_features):
  assert len(losses(on_images)) == 9 and np.ptp(losses(on_images)) > 0.1
  assert_equal_runs(on_features, on_images)


@pytest.mark.slow
def test_several_devices_train_on_features_as_one(
  config, tmp_path, on_features, eight_devices
):
  train(tmp_path, config, eight_devices)
  assert_equal_runs(tmp_path, on_features)


@pytest.mark.slow
def test_resume_is_bitwise_and_reads_the_features(
  config, tmp_path, one_device, on_features, monkeypatch, caplog
):
  prefetch = sharding.prefetch_to_devices
  with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

    def stop(mesh, batches):
      for i, batch in enumerate(prefetch(mesh, batches)):
        if i == 7:
          raise KeyboardInterrupt
        yield batch

    patch.setattr(sharding, 'prefetch_to_devices', stop)
    train(tmp_path, config, one_device)
  # No image is read any more.
  monkeypatch.delattr(pipeline, 'eval_batches')
  monkeypatch.delattr(pipeline, 'view_batches')
  monkeypatch.delattr(pipeline, 'train_batches')
  with caplog.at_level('INFO', 'inception_jax'):
    train(tmp_path, config, one_device)
  assert 'resuming after step 5 of 9' in caplog.text
  assert 'features of train: 3 of 3 files read' in caplog.text
  assert_equal_states(
    read_with_orbax(on_features, 9), read_with_orbax(tmp_path, 9)
  )


class Reads:
  """Batches of 25 random images; counts those that are read."""

  def __init__(self, model, mesh, folder):
    self._model, self._mesh, self._folder = model, mesh, str(folder)
    rng = np.random.default_rng(0)
    self.images = rng.integers(0, 256, (25, 16, 16, 3), np.uint8)
    self.count, self.stop_at = 0, 99

  def __call__(self, start, size):
    for begin in range(start * size, 25, size):
      if begin >= self.stop_at:
        raise KeyboardInterrupt
      rows = np.minimum(np.arange(begin, begin + size), 24)
      self.count += size
      yield {
        'image': self.images[rows],
        'label': rows.astype(np.int32),
        'mask': np.ones(size, np.float32),
      }

  def rows(self, config, variables, facts):
    """Returns the rows of the store, and how many images were read."""
    self.count = 0
    store = feature_store.FeatureStore(self._folder, 'train', facts)
    forward = features.make_forward(config, self._model)
    rows = store.load_or_compute(
      config,
      lambda variables, batch: forward(variables, batch['image']),
      *(variables, 25, 56, self._mesh, self),
    )
    return rows, self.count


@pytest.mark.slow
def test_only_what_is_missing_or_damaged_is_computed(
  tiny, tmp_path, one_device, caplog
):
  tiny.batch_size = 4
  model, variables = network(tiny, 0)
  reads = Reads(model, one_device, tmp_path)
  compute = lambda facts: reads.rows(tiny, variables, facts)
  reads.stop_at = 16  # batches of 4: the first file of 10 is whole
  with pytest.raises(KeyboardInterrupt):
    compute({})
  assert names_in(tmp_path) == ['train-00000.features']
  reads.stop_at = 99
  rows, count = compute({})
  assert count == 20  # from image 8 on, the last batch padded
  inputs = transforms.normalize(reads.images, tiny.data)
  expected = inception_jax.features(model, variables, inputs)['pooled']
  np.testing.assert_allclose(rows['features'], expected, rtol=1e-5, atol=1e-6)
  assert rows['label'].tolist() == list(range(25))

  flip(tmp_path / 'train-00001.features', -3)
  (tmp_path / 'train-00002.features').write_bytes(b'')
  again, count = compute({})
  assert count == 20
  assert 'features of train: 2 of 3 files are damaged' in caplog.text
  assert again.tobytes() == rows.tobytes()
  caplog.clear()
  again, count = compute({})
  assert count == 0 and again.tobytes() == rows.tobytes()
  _, count = compute({'weights': 'others'})
  assert count == 28
  assert '3 of 3 files are of other weights, images or prep' in caplog.text


@pytest.fixture
def views_config(config):
  config.fine_tune.cached_views = 2
  config.data.update(train_crop='resized', flip=True, brightness_shift=20.0)
  return config


def test_an_epoch_takes_the_next_view_of_each_image(views_config):
  split = registry.load(views_config, 'val')
  views_config.batch_size = 12  # two batches an epoch
  positions = pipeline.view_positions(split, views_config, 0, range(12))
  epochs = np.array(list(itertools.islice(positions, 6))).reshape(3, 24)
  assert [sorted(x) for x in epochs] == [
    list(range(24)),
    list(range(24, 48)),
    list(range(24)),
  ]
  assert (epochs[0] != epochs[2]).any()
  resumed = pipeline.view_positions(split, views_config, 3, range(6, 12))
  np.testing.assert_array_equal(next(resumed), epochs[1, 18:])


def view_features(config, variables, one_device):
  """Returns the pooled features of each view, image by image."""
  model, _ = network(config, 0)
  split = registry.load(config, 'val')
  rows = []
  for position in range(48):
    record = split.fetch(tf.constant(position % 24, tf.int64))
    seed = tf.constant([config.seed, position], tf.int64)
    try:
      image = decode.train_image(record['image'], seed, config.data)
    except tf.errors.InvalidArgumentError:
      rows.append(None)
      continue
    key = jax.random.fold_in(jax.random.key(config.seed), position)
    view = transforms.view(key, image.numpy(), config.data)
    inputs = transforms.normalize(view[None], config.data)
    rows.append(inception_jax.features(model, variables, inputs)['pooled'][0])
  return rows


@pytest.mark.slow
def test_views_are_cached_and_trained_on(
  views_config, weights, tmp_path, one_device, eight_devices
):
  config = views_config
  train(tmp_path / 'one', config, one_device)
  assert len(set(losses(tmp_path / 'one'))) == 9
  variables = pretrained.restore('', weights, one_device)[1].variables
  expected = view_features(config, variables, one_device)
  assert [i for i, x in enumerate(expected) if x is None] == [1, 25]
  files = sorted((tmp_path / 'one' / 'features').glob('train*'))
  assert len(files) == 5
  body = b''.join(file.read_bytes().partition(b'\n')[2] for file in files)
  row_type = feature_store.row_type(caching.width(variables['params']))
  rows = np.frombuffer(body, row_type)
  for row, wanted in zip(rows, expected, strict=True):
    if wanted is not None:
      np.testing.assert_allclose(row['features'], wanted, rtol=1e-4, atol=1e-5)
  first, second = rows['features'][2:5], rows['features'][26:29]
  assert np.abs(first - second).max() > 0.01

  train(tmp_path / 'eight', config, eight_devices)
  assert_equal_runs(*(tmp_path / name for name in ('one', 'eight')))


def test_views_need_cached_features(config, tmp_path):
  config.fine_tune.update(cache_features=False, cached_views=2)
  with pytest.raises(UserError, match='cached_views=2: expected'):
    preflight.check(config, str(tmp_path / 'run'), train=True)


def test_what_contradicts_caching_is_told_at_once(config, tmp_path):
  config.update_from_flattened_dict(
    {
      'fine_tune.freeze': (),
      'fine_tune.freeze_batch_norm': 'none',
      'data.flip': True,
      'data.policy': 'randaugment',
      'data.mixup': 0.2,
      'model.drop_path_rate': 0.0,
    }
  )
  with pytest.raises(UserError) as caught:
    preflight.check(config, str(tmp_path / 'run'), train=True)
  *faults, flags = (
    line.removeprefix('fine_tune.cache_features: ')
    for line in caught.value.faults
  )
  assert faults == [
    "fine_tune.freeze=(), expected ('!head', '*')",
    'data.mixup=0.2, expected 0.0',
    'data.flip=True, expected False',
    "data.policy='randaugment', expected ''",
    "fine_tune.freeze_batch_norm='none', expected ''",
  ]
  assert flags == (
    """add --config.fine_tune.freeze="('!head', '*')" """
    '--config.data.mixup=0.0 --config.data.flip=False --config.data.policy= '
    '--config.fine_tune.freeze_batch_norm=; or fine_tune.cached_views=10, to '
    'cache ten views of each image'
  )
  assert not (tmp_path / 'run').exists()


def test_no_augmentation_remains(config):
  enabled = lambda: [
    name
    for name, (is_on, _) in transforms.AUGMENTATIONS.items()
    if is_on(config.data)
  ]
  for key in ('pad', 'flip', 'rotate', 'brightness_shift', 'erase'):
    config.data[key] = type(config.data[key])(1)
  config.data.update(policy='randaugment', color_distortion='tpu')
  assert set(enabled()) == set(transforms.AUGMENTATIONS)
  config.update_from_flattened_dict(caching.FIXED)
  assert enabled() == []


def test_records_need_numbers(config):
  stream = splits.Sequential(5, ('a',), *[None] * 4)
  with pytest.raises(UserError, match='folder reads val in the order of its'):
    caching.check_split(config, stream)


def test_the_average_has_the_same_frozen_layers(tiny, one_device):
  _, variables = network(tiny, 0)
  state = train_state.from_weights(variables)
  average = jax.tree.map(lambda x: x * 1.000001, variables)
  average['params']['head'] = jax.tree.map(
    lambda x: x + 1, variables['params']['head']
  )
  feed.check_average(state.replace(ema=average), one_device)
  average['batch_stats'] = jax.tree.map(
    lambda x: x * 1.01, variables['batch_stats']
  )
  with pytest.raises(UserError, match='the moving average of the frozen'):
    feed.check_average(state.replace(ema=average), one_device)
