"""Writes the small dataset `shapes` with tfds, and reads it."""

import itertools

import numpy as np
import tensorflow_datasets as tfds

from configs import digits
from inception_jax.data import pipeline
from inception_jax.data.sources import registry
from inception_jax.data.sources import tfds as tfds_source
from inception_jax.models import factory

COUNTS = {'train': 23, 'test': 7}


def image_of(split: str, i: int, channels: int) -> np.ndarray:
  """Returns the i-th image of a split: 12×10, grey level 9·i (+20 in test)."""
  value = i * 9 + (20 if split == 'test' else 0)
  return np.full((12, 10, channels), value, np.uint8)


def write(
  data_dir, file_format='tfrecord', encoding='png', channels=3, unlabelled=()
):
  """Prepares `shapes` 1.0.0 under `data_dir`, with three shards per split."""

  class Shapes(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version('1.0.0')

    def _info(self):
      shape = (None, None, channels)
      return self.dataset_info_from_configs(
        features=tfds.features.FeaturesDict(
          {
            'image': tfds.features.Image(shape=shape, encoding_format=encoding),
            'label': tfds.features.ClassLabel(names=['ring', 'disc', 'box']),
            'id': np.int64,
          }
        ),
        supervised_keys=('image', 'label'),
      )

    def _split_generators(self, dl_manager):
      return {split: self._generate_examples(split) for split in COUNTS}

    def _generate_examples(self, split):
      for i in range(COUNTS[split]):
        image = image_of(split, i, channels)
        label = -1 if split in unlabelled else i % 3
        yield i, {'image': image, 'label': label, 'id': i}

  tfds_source.disable_gcs()
  builder = Shapes(data_dir=data_dir, file_format=file_format)
  builder.download_and_prepare(
    download_config=tfds.download.DownloadConfig(num_shards=3)
  )


def config_of(folder):
  """Returns a config that reads `shapes` in `folder`."""
  config = factory.resolve(digits.get_config())
  config.data.source = 'tfds:shapes'
  config.data.dir = str(folder)
  config.data.image_size = 12  # hardly resizes the images
  config.data.shuffle_buffer = 5
  config.batch_size = 4
  return config


def train_batches(config, start=0, rows=None, split='train'):
  opened = registry.load(config, split)
  rows = rows or range(config.batch_size)
  return pipeline.train_batches(opened, config, start, rows)


def take(batches, count):
  return list(itertools.islice(batches, count))


def numbers(batch):
  """Returns the numbers of the images in a batch of the training split."""
  return [int(image[0, 0, 0]) // 9 for image in batch['image']]


def numbers_in(batches, count):
  """Returns the numbers of the images in the first `count` batches."""
  return [n for batch in take(batches, count) for n in numbers(batch)]


def number_in_test(image):
  """Returns the number of an image of the test split."""
  return (int(image[0, 0, 0]) - 20) // 9


def shards_of_test(folder):
  """Returns the paths of the test split's files."""
  return sorted((folder / 'shapes' / '1.0.0').glob('*test*-of-*'))
