"""From a split to batches of uint8 images, in an order that never lies.

Training reads an endless stream of positions 0, 1, 2, …; position p belongs
to epoch p // size, and what is there depends on the seed, the epoch and p
alone. Batch s holds the positions s·B … (s+1)·B − 1, so an epoch may end
within a batch, and a resume at step s starts at position s·B.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from inception_jax import config as config_lib
from inception_jax.data import decode
from inception_jax.data.splits import Indexed

_ENDLESS = 2**62


def train_batches(
  split, config, start_step: int, rows: range
) -> Iterator[dict[str, np.ndarray]]:
  """Batches from step `start_step` on, without end.

  Args:
    split: an `Indexed` or `Sequential` split.
    config: the whole config.
    start_step: the first batch's step.
    rows: which rows of the global batch this process reads.

  Yields:
    {'image': uint8 [rows, S, S, C], 'label': int32 [rows]}.
  """
  _keep_off_accelerators()
  start = start_step * config.batch_size
  ours = _in_rows(rows, config.batch_size)
  if isinstance(split, Indexed):

    def permuted(position):
      epoch, index = position // split.size, position % split.size
      seed = tf.stack([tf.cast(config.seed, tf.int64), epoch])
      index = tf.random.experimental.index_shuffle(
        index, seed, tf.cast(split.size - 1, tf.int64)
      )
      return position, split.fetch(index)

    records = tf.data.Dataset.range(start, _ENDLESS).filter(ours)
    records = records.map(permuted, num_parallel_calls=tf.data.AUTOTUNE)
    parse = lambda record: record
  else:
    parse = split.parse
    first_epoch, within = divmod(start, split.size)
    seed_of = lambda epoch: tf.stack([tf.cast(config.seed, tf.int64), epoch])
    epochs = tf.data.Dataset.range(first_epoch, _ENDLESS)
    records = epochs.flat_map(lambda e: split.epoch(seed_of(e)))
    records = records.skip(within).enumerate(start).filter(ours)

  def decoded(position, record):
    seed = tf.stack([tf.cast(config.seed, tf.int64), position])
    record = parse(record)
    image = decode.train_image(record['image'], seed, config.data)
    return {'image': image, 'label': tf.cast(record['label'], tf.int32)}

  batches = records.map(decoded, num_parallel_calls=tf.data.AUTOTUNE)
  return _checked(batches.batch(len(rows), drop_remainder=True), split, config)


def train_batch_spec(config) -> dict[str, np.ndarray]:
  """The global training batch, as zeros that take no memory."""
  size = config.data.image_size
  shape = (config.batch_size, size, size, config.data.channels)
  return {
    'image': np.broadcast_to(np.uint8(0), shape),
    'label': np.broadcast_to(np.int32(0), shape[:1]),
  }


def num_eval_batches(split, batch_size: int) -> int:
  """Batches of `batch_size` that hold the split once, the last one padded."""
  return -(-split.size // batch_size)


def eval_batches(
  split, config, batch_size: int, rows: range
) -> Iterator[dict[str, np.ndarray]]:
  """Every record once, in order, padded to whole batches of `batch_size`.

  Args:
    split: an `Indexed` or `Sequential` split.
    config: the whole config.
    batch_size: of all processes together.
    rows: which of its rows this process reads.

  Yields:
    {'image': uint8 [rows, S, S, C], 'label': int32 [rows], 'mask': float32
    [rows], 1 on records and 0 on padding}.
  """
  _keep_off_accelerators()
  padded = num_eval_batches(split, batch_size) * batch_size
  ours = _in_rows(rows, batch_size)

  if isinstance(split, Indexed):
    last = tf.cast(split.size - 1, tf.int64)
    records = tf.data.Dataset.range(padded).filter(ours)
    records = records.map(
      lambda p: (p, split.fetch(tf.minimum(p, last))),
      num_parallel_calls=tf.data.AUTOTUNE,
    )
    parse = lambda record: record
  else:
    parse = split.parse
    ordered = split.epoch(None)
    records = ordered.concatenate(ordered.take(1).repeat())
    records = records.take(padded).enumerate().filter(ours)

  def decoded(position, record):
    record = parse(record)
    return {
      'image': decode.eval_image(record['image'], config.data),
      'label': tf.cast(record['label'], tf.int32),
      'mask': tf.cast(position < split.size, tf.float32),
    }

  batches = records.map(decoded, num_parallel_calls=tf.data.AUTOTUNE)
  return _checked(batches.batch(len(rows), drop_remainder=True), split, config)


def _checked(batches, split, config) -> Iterator[dict[str, np.ndarray]]:
  """Prefetches, and says of unusable data where it lies.

  Raises:
    UserError: damaged or missing records, or labels that are not classes.
  """
  source, classes = config.data.source, len(split.class_names)
  try:
    for batch in batches.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
      wrong = (batch['label'] < 0) | (batch['label'] >= classes)
      if wrong.any():
        raise config_lib.UserError(
          f'{source}: label {batch["label"][wrong][0]} is not one of its '
          f'{classes} classes; a test split without labels is of no use here'
        )
      yield batch
  except tf.errors.OpError as error:
    reason = error.message.strip().splitlines()[0]
    raise config_lib.UserError(f'{source} cannot be read: {reason}') from error


def _in_rows(rows: range, batch_size: int):
  """The filter that leaves the positions whose row is among `rows`."""

  def ours(position, *_):
    row = position % batch_size
    return (rows.start <= row) & (row < rows.stop)

  return ours


def _keep_off_accelerators():
  """TensorFlow only feeds here, but would take all of a GPU's memory."""
  tf.config.set_visible_devices([], 'GPU')
