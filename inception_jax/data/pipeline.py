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
from inception_jax.data.bad_images import BadImages
from inception_jax.data.splits import Indexed

_ENDLESS = 2**62


def train_batches(
  split, config, start_step: int, rows: range, bad: BadImages | None = None
) -> Iterator[dict[str, np.ndarray]]:
  """Batches from step `start_step` on, without end.

  Args:
    split: an `Indexed` or `Sequential` split.
    config: the whole config.
    start_step: the first batch's step.
    rows: which rows of the global batch this process reads.
    bad: gets to know the images of an `Indexed` split that cannot be decoded.

  Yields:
    {'image': uint8 [rows, S, S, C], 'label': int32 [rows]}.
  """
  _keep_off_accelerators()
  bad = bad or BadImages(split, config)
  ours = _in_rows(rows, config.batch_size)
  seed = tf.constant(config.seed, tf.int64)

  def index_of(position):
    epoch, index = position // split.size, position % split.size
    last = tf.cast(split.size - 1, tf.int64)
    return tf.random.experimental.index_shuffle(
      index, tf.stack([seed, epoch]), last
    )

  def decoded(position, record):
    image = decode.train_image(
      record['image'],
      tf.stack([seed, position]),
      config.data,
      record.get('boxes'),
    )
    return {'image': image, 'label': tf.cast(record['label'], tf.int32)}

  def indexed(step):
    replace = bad.replacing()

    def fetched(position):
      index, _ = replace(position, index_of(position))
      return position, split.fetch(index)

    positions = tf.data.Dataset.range(step * config.batch_size, _ENDLESS)
    records = positions.filter(ours).map(fetched, tf.data.AUTOTUNE)
    return records.map(decoded, tf.data.AUTOTUNE)

  def sequential(step):
    start = step * config.batch_size
    first_epoch, within = divmod(start, split.size)
    epochs = tf.data.Dataset.range(first_epoch, _ENDLESS)
    records = epochs.flat_map(lambda e: split.epoch(tf.stack([seed, e])))
    records = records.skip(within).enumerate(start).filter(ours)
    return records.map(
      lambda p, record: decoded(p, split.parse(record)), tf.data.AUTOTUNE
    )

  def find(step):
    positions = [step * config.batch_size + row for row in rows]
    return bad.find(positions, index_of, decoded)

  return _batches(indexed, sequential, find, split, config, start_step, rows)


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
  split,
  config,
  batch_size: int,
  rows: range,
  bad: BadImages | None = None,
) -> Iterator[dict[str, np.ndarray]]:
  """Every record once, in order, padded to whole batches of `batch_size`.

  Args:
    split: an `Indexed` or `Sequential` split.
    config: the whole config.
    batch_size: of all processes together.
    rows: which of its rows this process reads.
    bad: gets to know the images of an `Indexed` split that cannot be decoded.

  Yields:
    {'image': uint8 [rows, S, S, C], 'label': int32 [rows], 'mask': float32
    [rows], 1 on records and 0 on padding and in the place of bad images}.
  """
  _keep_off_accelerators()
  bad = bad or BadImages(split, config)
  padded = num_eval_batches(split, batch_size) * batch_size
  ours = _in_rows(rows, batch_size)
  last = tf.constant(split.size - 1, tf.int64)
  index_of = lambda position: tf.minimum(position, last)

  def decoded(position, record, spare=False):
    real = tf.logical_and(position < split.size, tf.logical_not(spare))
    return {
      'image': decode.eval_image(record['image'], config.data),
      'label': tf.cast(record['label'], tf.int32),
      'mask': tf.cast(real, tf.float32),
    }

  def indexed(step):
    replace = bad.replacing()

    def fetched(position):
      index, spare = replace(position, index_of(position))
      return position, split.fetch(index), spare

    positions = tf.data.Dataset.range(step * batch_size, padded).filter(ours)
    return positions.map(fetched, tf.data.AUTOTUNE).map(
      decoded, tf.data.AUTOTUNE
    )

  def sequential(step):
    del step  # never but from the first
    ordered = split.epoch(None)
    records = ordered.concatenate(ordered.take(1).repeat())
    records = records.take(padded).enumerate().filter(ours)
    return records.map(
      lambda p, record: decoded(p, split.parse(record)), tf.data.AUTOTUNE
    )

  def find(step):
    positions = [step * batch_size + row for row in rows]
    return bad.find(positions, index_of, decoded)

  return _batches(indexed, sequential, find, split, config, 0, rows)


def _batches(
  indexed, sequential, find, split, config, step: int, rows: range
) -> Iterator[dict[str, np.ndarray]]:
  """Batches ahead of their use; says of unusable data where it lies.

  Args:
    indexed: step → tf.data.Dataset of what stands in the batches from it on,
      for an `Indexed` split.
    sequential: the same for a `Sequential` one.
    find: step → whether its batch has bad images that are replaced now.
    split: of which they are.
    config: the whole config.
    step: the first.
    rows: which of a batch are read.

  Raises:
    UserError: damaged or missing records, or labels that are not classes.
  """
  source, classes = config.data.source, len(split.class_names)
  by_index = isinstance(split, Indexed)
  make = indexed if by_index else sequential
  while True:
    batches = make(step).batch(len(rows), drop_remainder=True)
    try:
      for batch in batches.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
        wrong = (batch['label'] < 0) | (batch['label'] >= classes)
        if wrong.any():
          raise config_lib.UserError(
            f'{source}: label {batch["label"][wrong][0]} is not one of its '
            f'{classes} classes; a test split without labels is of no use here'
          )
        yield batch
        step += 1
      return
    except tf.errors.OpError as error:
      if not (by_index and find(step)):
        reason = error.message.strip().splitlines()[0]
        raise config_lib.UserError(
          f'{source} cannot be read: {reason}'
        ) from error


def _in_rows(rows: range, batch_size: int):
  """The filter that leaves the positions whose row is among `rows`."""

  def ours(position, *_):
    row = position % batch_size
    return (rows.start <= row) & (row < rows.stop)

  return ours


def _keep_off_accelerators():
  """TensorFlow only feeds here, but would take all of a GPU's memory."""
  tf.config.set_visible_devices([], 'GPU')
