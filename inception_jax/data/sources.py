"""Where images come from: `config.data.source` → splits of undecoded records.

A record is {'image': encoded scalar string or raw uint8 [H, W, 1 or 3],
'label': int64 scalar}, as TensorFlow tensors. A split is `Indexed` where any
record can be had by its number, `Sequential` where they come in file order.
TensorFlow is imported where it is used: checks answer before it has loaded.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

from inception_jax import config as config_lib
from inception_jax.data import tfds_source
from inception_jax.data.splits import Indexed
from inception_jax.data.splits import Sequential

SYNTHETIC_CLASSES = 1000
# Few for evaluation: on a CPU, a full network classifies a few a second.
SYNTHETIC_SIZES = {'train': 1024, 'validation': 64, 'test': 64}


def digits(config, split: str) -> Indexed:
  """scikit-learn's handwritten digits: 1,797 images, 8×8, grey, 10 classes.

  Every fifth image, from the first, is in 'test' (360); the others are in
  'train' (1,437). The intensities 0…16 become 0…255.
  """
  del config
  import numpy as np
  from sklearn import datasets

  bunch = datasets.load_digits()
  held_out = np.arange(len(bunch.target)) % 5 == 0
  chosen = held_out if split == 'test' else ~held_out
  images = np.round(bunch.images[chosen] * (255 / 16)).astype(np.uint8)
  return _from_arrays(
    images[..., None], bunch.target[chosen], [str(i) for i in range(10)]
  )


def _from_arrays(images, labels, class_names) -> Indexed:
  def fetch(index):
    import tensorflow as tf

    return {
      'image': tf.gather(tf.constant(images), index),
      'label': tf.gather(tf.constant(labels, tf.int64), index),
    }

  return Indexed(len(images), tuple(class_names), fetch)


def synthetic(config, split: str) -> Indexed:
  """Random images as large as the network's, in 1000 classes unless told.

  Image and label are functions of the index, so they can be learnt by heart,
  and no disk is read: for trying a setup and for measuring its speed.
  """
  classes = config.model.num_classes or SYNTHETIC_CLASSES
  size = config.data.image_size
  names = tuple(f'class_{i}' for i in range(classes))

  def fetch(index):
    import tensorflow as tf

    seed = tf.stack([index, tf.constant(split != 'train', tf.int64)])
    # Coarse noise: cheaper to draw, and unlike fine noise it survives crops.
    image = tf.random.stateless_uniform(
      (8, 8, 3), seed, maxval=256, dtype=tf.int32
    )
    image = tf.image.resize(image, (size, size), method='nearest')
    label = tf.random.stateless_uniform(
      (), seed, maxval=classes, dtype=tf.int64
    )
    return {'image': tf.cast(image, tf.uint8), 'label': label}

  return Indexed(SYNTHETIC_SIZES[split], names, fetch)


@dataclasses.dataclass(frozen=True)
class _Source:
  load: Callable[[Any, str], Indexed | Sequential]
  splits: tuple[str, ...]


SOURCES = {
  'digits': _Source(digits, ('train', 'test')),
  'synthetic': _Source(synthetic, tuple(SYNTHETIC_SIZES)),
}


def load(config, split: str) -> Indexed | Sequential:
  """The split named `split` of `config.data.source`."""
  if tfds_source.is_tfds(config):
    return tfds_source.load(config, split)
  return SOURCES[config.data.source].load(config, split)


def check(config) -> list[str]:
  """Faults of the source and the splits; reads no data, waits on nothing."""
  data = config.data
  if tfds_source.is_tfds(config):
    return tfds_source.check(config)
  if data.source not in SOURCES:
    known = ', '.join(SOURCES)
    return [f'data.source={data.source!r}: expected one of {known}, tfds:NAME']
  splits = SOURCES[data.source].splits
  return config_lib.out_of_range(
    config,
    {
      f'data.{key}': config_lib.one_of(splits)
      for key in ('train_split', 'eval_split')
    },
  )
