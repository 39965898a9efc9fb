"""Small data sets in tfds's own on-disk format, written by tfds itself."""

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import gcs_utils

COUNTS = {'train': 23, 'test': 7}


def image_of(split: str, i: int, channels: int) -> np.ndarray:
  """The i-th image of a split: grey i·9 (+100 in test), 12×10."""
  value = i * 9 + (20 if split == 'test' else 0)
  return np.full((12, 10, channels), value, np.uint8)


def write(
  data_dir, file_format='tfrecord', encoding='png', channels=3, unlabelled=()
):
  """Prepares set `shapes` 1.0.0 under `data_dir`, in three shards a split."""

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

  # Nothing may ask the network.
  gcs_utils._is_gcs_disabled = True
  builder = Shapes(data_dir=data_dir, file_format=file_format)
  builder.download_and_prepare(
    download_config=tfds.download.DownloadConfig(num_shards=3)
  )
