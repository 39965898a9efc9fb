"""Classes of unequal size: weights of their losses, or balanced sampling."""

import numpy as np

from inception_jax.data.lazy import tf
from inception_jax.data.splits import Split
from inception_jax.errors import UserError
from inception_jax.errors import printable

SETTINGS = ('', 'balanced')


def check(data, split: Split) -> None:
  """Raises a UserError if `config.data` balances classes, but not of a source.

  The labels of tfds, TFRecords and random images are only known once read.
  """
  if (data.class_weights or data.sampling) and split.labels is None:
    key = 'class_weights' if data.class_weights else 'sampling'
    raise UserError(
      f"data.{key}='balanced': {data.source} cannot count its classes before "
      'it reads the images; folder, cifar, digits, huggingface and '
      'webdataset can'
    )


def describe(split: Split) -> str:
  """Returns the numbers of images and classes, and the extremes, in a line."""
  text = f'{split.size} images of {len(split.class_names)} classes'
  if (labels := split.labels) is None:
    return text
  counts = np.bincount(labels, minlength=len(split.class_names))
  least, most = int(counts.argmin()), int(counts.argmax())
  smallest, largest = (
    f'{counts[i]} ({printable(split.class_names[i], 80)})'
    for i in (least, most)
  )
  ratio = counts[most] / max(counts[least], 1)
  return f'{text}: {smallest} to {largest} of each, a ratio of {ratio:.3g}'


def class_weights(data, split: Split, num_outputs: int) -> np.ndarray | None:
  """Returns the weight of each class in the loss: float32 [N]; None: all are 1.

  With N images in C classes, n of them of a class, its weight is N / (C n), as
  scikit-learn's 'balanced': over an epoch, the weights of the images have the
  mean 1.
  """
  if not data.class_weights:
    return None
  classes, counts = np.unique(split.labels, return_counts=True)
  weights = np.ones(num_outputs, np.float32)
  weights[classes] = counts.sum() / (len(classes) * counts)
  return weights


def sampler(split: Split, seed):
  """Returns int64 number → the record at that place of a balanced stream.

  Of C classes, each C consecutive places have each class once, in a random
  order, and a class of n images has each of them once in n draws. The order is
  a function of the seed and the number.
  """
  _, labels, counts = np.unique(
    split.labels, return_inverse=True, return_counts=True
  )
  records = tf.constant(np.argsort(labels, kind='stable'), tf.int64)
  starts = tf.constant(np.cumsum(counts) - counts, tf.int64)
  counts = tf.constant(counts, tf.int64)
  classes = len(counts)
  shuffle = tf.random.experimental.index_shuffle

  def record(number):
    draw, place = number // classes, number % classes
    # Negative, so that no key is one of those below.
    key = tf.stack([seed, -1 - draw])
    label = shuffle(place, key, tf.constant(classes - 1, tf.int64))
    count = tf.gather(counts, label)
    key = tf.stack([seed, draw // count * classes + label])
    index = shuffle(draw % count, key, count - 1)
    return tf.gather(records, tf.gather(starts, label) + index)

  return record
