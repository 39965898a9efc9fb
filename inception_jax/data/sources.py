"""Where images come from: `config.data.source` → splits of undecoded records.

A record is {'image': encoded scalar string or raw uint8 [H, W, 1 or 3],
'label': int64 scalar, perhaps 'boxes': float32 [N, 4] in shares of the height
and width, (ymin, xmin, ymax, xmax)}, as TensorFlow tensors. A split is
`Indexed` where any record can be had by its number, `Sequential` where they
come in file order. TensorFlow is imported where it is used: checks answer
before it has loaded.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

from inception_jax.data import cifar
from inception_jax.data import folder
from inception_jax.data import splits
from inception_jax.data import tfds_source
from inception_jax.data import tfrecord
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
  return splits.from_arrays(
    images[..., None], bunch.target[chosen], [str(i) for i in range(10)]
  )


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
  """How a source is opened, and what can be said of a config before that."""

  load: Callable[[Any, str], Indexed | Sequential]
  check: Callable[[Any], list[str]]


SOURCES = {
  'digits': _Source(digits, lambda c: splits.unknown(c, ('train', 'test'))),
  'synthetic': _Source(synthetic, lambda c: splits.unknown(c, SYNTHETIC_SIZES)),
  'folder': _Source(folder.load, folder.check),
  'cifar': _Source(cifar.load, cifar.check),
  'tfrecord': _Source(tfrecord.load, tfrecord.check),
}
_TFDS = _Source(tfds_source.load, tfds_source.check)


def load(config, split: str) -> Indexed | Sequential:
  """The split named `split` of `config.data.source`."""
  return _of(config).load(config, split)


def check(config) -> list[str]:
  """Faults of the source and the splits; reads no data, waits on nothing."""
  source = config.data.source
  if source not in SOURCES and not tfds_source.is_tfds(config):
    known = ', '.join(SOURCES)
    return [f'data.source={source!r}: expected one of {known}, tfds:NAME']
  return _of(config).check(config)


def _of(config) -> _Source:
  return _TFDS if tfds_source.is_tfds(config) else SOURCES[config.data.source]
