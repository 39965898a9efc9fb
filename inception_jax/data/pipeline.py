"""From a split to batches of uint8 images, decoded and cropped."""

from collections.abc import Iterator
import os

from etils import epy
import numpy as np

from inception_jax import errors
from inception_jax.data import decode
from inception_jax.data import order
from inception_jax.data.bad_images import BadImages
from inception_jax.data.splits import Indexed

# Seconds: not until data are read.
with epy.lazy_imports():
  import tensorflow as tf


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
  hide_accelerators()
  seed = tf.constant(config.seed, tf.int64)

  def decoded(position, record, spare):
    del spare  # an image as any other
    image = decode.train_image(
      record['image'],
      tf.stack([seed, position]),
      config.data,
      record.get('boxes'),
    )
    return {'image': image, 'label': tf.cast(record['label'], tf.int32)}

  elements = order.training(split, config.seed, config.batch_size, rows)
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
  hide_accelerators()

  def decoded(position, record, spare):
    real = tf.logical_and(position < split.size, tf.logical_not(spare))
    return {
      **decode.eval_canvases(record['image'], config.data),
      'label': tf.cast(record['label'], tf.int32),
      'mask': tf.cast(real, tf.float32),
    }

  elements = order.evaluation(split, batch_size, rows)
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
      # None of these functions has a condition for AutoGraph to translate. To
      # look for some took two seconds of Python, while a step is traced.
      untranslated = tf.autograph.experimental.do_not_convert(_dataset)
      batches = untranslated(elements, step, fetched, decoded, count)
      for batch in batches.as_numpy_iterator():
        wrong = (batch['label'] < 0) | (batch['label'] >= classes)
        if wrong.any():
          raise errors.UserError(
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
        raise errors.UserError(f'{source} cannot be read: {reason}') from error


def _dataset(elements, step: int, fetched, decoded, count: int):
  """What `_batches` reads, from a step's batch on."""
  images = elements(step).map(
    lambda position, own: decoded(*fetched(position, own)), map_in_order()
  )
  batches = images.batch(count, drop_remainder=True)
  return batches.prefetch(tf.data.AUTOTUNE).with_options(_untuned())


def map_in_order() -> int:
  """How many images are being read and decoded.

  With one for each core, a thread waits for its next one to be handed out: a
  tenth of the images a second. More than these gained nothing.
  """
  return 4 * len(os.sched_getaffinity(0))


def _untuned() -> 'tf.data.Options':
  """Without the thread that looks for how much to do at once.

  That of TensorFlow 2.21 sleeps for up to a minute, twice as long each time,
  and whoever lets go of an iterator may have to wait until it wakes: at the
  end of every evaluation.
  """
  options = tf.data.Options()
  options.autotune.enabled = False
  return options


def hide_accelerators():
  """TensorFlow only feeds here, but would take all of a GPU's memory."""
  tf.config.set_visible_devices([], 'GPU')
