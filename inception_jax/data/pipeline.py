"""From a split to batches of uint8 images, in an order that never lies.

Training reads an endless stream of positions 0, 1, 2, …; position p belongs
to epoch p // size, and what is there depends on the seed, the epoch and p
alone. Batch s holds the positions s·B … (s+1)·B − 1, so an epoch may end
within a batch, and a resume at step s starts at position s·B.
"""

from collections.abc import Iterator
import logging

import numpy as np
import tensorflow as tf

from inception_jax import config as config_lib
from inception_jax.data import decode
from inception_jax.data.bad_images import BadImages
from inception_jax.data.splits import Indexed

log = logging.getLogger(__name__)

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
    bad: gets to know the images that cannot be decoded.

  Yields:
    {'image': uint8 [rows, S, S, C], 'label': int32 [rows]}.
  """
  keep_off_accelerators()
  ours = _in_rows(rows, config.batch_size)
  seed = tf.constant(config.seed, tf.int64)
  last = tf.constant(split.size - 1, tf.int64)

  def indexed(step):
    def element(position):
      epoch, index = position // split.size, position % split.size
      key = tf.stack([seed, epoch])
      shuffled = tf.random.experimental.index_shuffle(index, key, last)
      return position, shuffled

    positions = tf.data.Dataset.range(step * config.batch_size, _ENDLESS)
    return positions.filter(ours).map(element)

  def sequential(step):
    start = step * config.batch_size
    first_epoch, within = divmod(start, split.size)
    if within:
      log.info('reading past %d records of this epoch', within)
    epochs = tf.data.Dataset.range(first_epoch, _ENDLESS)
    records = epochs.flat_map(lambda e: split.epoch(tf.stack([seed, e])))
    return records.skip(within).enumerate(start).filter(ours)

  def decoded(position, record, spare):
    del spare  # an image as any other
    image = decode.train_image(
      record['image'],
      tf.stack([seed, position]),
      config.data,
      record.get('boxes'),
    )
    return {'image': image, 'label': tf.cast(record['label'], tf.int32)}

  elements = indexed if isinstance(split, Indexed) else sequential
  bad = bad or BadImages(split, config)
  return _batches(elements, decoded, split, config, bad, start_step, len(rows))


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
    bad: gets to know the images that cannot be decoded.

  Yields:
    {'label': int32 [rows], 'mask': float32 [rows], 1 on records and 0 on
    padding and in the place of bad images}, with 'image': uint8 [rows, S, S,
    C] and, as `decode.eval_canvases` says, others.
  """
  keep_off_accelerators()
  padded = num_eval_batches(split, batch_size) * batch_size
  ours = _in_rows(rows, batch_size)
  last = tf.constant(split.size - 1, tf.int64)

  def indexed(step):
    positions = tf.data.Dataset.range(step * batch_size, padded).filter(ours)
    return positions.map(
      lambda position: (position, tf.minimum(position, last))
    )

  def sequential(step):
    ordered = split.epoch(None)
    records = ordered.concatenate(ordered.take(1).repeat())
    records = records.take(padded).enumerate()
    return records.skip(step * batch_size).filter(ours)

  def decoded(position, record, spare):
    real = tf.logical_and(position < split.size, tf.logical_not(spare))
    return {
      **decode.eval_canvases(record['image'], config.data),
      'label': tf.cast(record['label'], tf.int32),
      'mask': tf.cast(real, tf.float32),
    }

  elements = indexed if isinstance(split, Indexed) else sequential
  bad = bad or BadImages(split, config)
  return _batches(elements, decoded, split, config, bad, 0, len(rows))


def eval_pictures(split, config, positions: list[int]) -> dict[int, np.ndarray]:
  """What an evaluation looks at of some records: uint8 [S, S, C] by position.

  Of other protocols than a single crop, it is that crop.
  """
  if isinstance(split, Indexed):
    elements = [(p, tf.constant(p, tf.int64)) for p in positions]
  else:
    elements = enumerate(split.epoch(None).take(max(positions, default=-1) + 1))
  wanted = set(positions)
  return {
    position: decode.eval_image(split.fetch(own)['image'], config.data).numpy()
    for position, own in elements
    if position in wanted
  }


def _batches(
  elements, decoded, split, config, bad: BadImages, step: int, count: int
) -> Iterator[dict[str, np.ndarray]]:
  """Batches ahead of their use; says of unusable data where it lies.

  Args:
    elements: step → tf.data.Dataset, from its batch on, of (position, what the
      split has there).
    decoded: (position, record, whether it is a substitute) → what is batched.
    split: an `Indexed` or `Sequential` split.
    config: the whole config.
    bad: its bad images.
    step: the first.
    count: images of a batch.

  Raises:
    UserError: damaged or missing records, or labels that are not classes.
  """
  source, classes = config.data.source, len(split.class_names)
  while True:
    replace = bad.replacing()

    def fetched(position, own, replace=replace):
      own, spare = replace(position, own)
      return position, split.fetch(own), spare

    try:
      batches = _dataset(elements, step, fetched, decoded, count)
      for batch in batches.as_numpy_iterator():
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
      reason = error.message.strip().splitlines()[0]
      try:
        again = bad.find(elements(step).take(count), decoded)
      except tf.errors.OpError:
        again = False  # it is not the images
      if not again:
        raise config_lib.UserError(
          f'{source} cannot be read: {reason}'
        ) from error


# Of its functions none has a condition for AutoGraph to translate. To look for
# them took two seconds of Python's time, while a step is traced.
@tf.autograph.experimental.do_not_convert
def _dataset(elements, step: int, fetched, decoded, count: int):
  """What `_batches` reads, from a step's batch on."""
  records = elements(step).map(fetched, tf.data.AUTOTUNE)
  images = records.map(decoded, tf.data.AUTOTUNE)
  batches = images.batch(count, drop_remainder=True)
  return batches.prefetch(tf.data.AUTOTUNE).with_options(_untuned())


def _untuned() -> tf.data.Options:
  """As much at once as there are cores, and no thread that tries for better.

  That of TensorFlow 2.21 sleeps for up to a minute, twice as long each time,
  and whoever lets go of an iterator may have to wait until it wakes: at the
  end of every evaluation.
  """
  options = tf.data.Options()
  options.autotune.enabled = False
  return options


def _in_rows(rows: range, batch_size: int):
  """The filter that leaves the positions whose row is among `rows`."""

  def ours(position, *_):
    row = position % batch_size
    return (rows.start <= row) & (row < rows.stop)

  return ours


def keep_off_accelerators():
  """TensorFlow only feeds here, but would take all of a GPU's memory."""
  tf.config.set_visible_devices([], 'GPU')
