"""Batches of uint8 images, decoded and cropped, from a split."""

from collections.abc import Iterator

import numpy as np

from inception_jax import errors
from inception_jax.data import closing
from inception_jax.data import decode
from inception_jax.data import order
from inception_jax.data import reading
from inception_jax.data.bad_images import BadImages
from inception_jax.data.bad_images import one_line
from inception_jax.data.lazy import tf
from inception_jax.data.splits import Indexed
from inception_jax.data.splits import Split

Batch = dict[str, np.ndarray]


def train_batches(
  split: Split, config, start_step: int, rows: range, bad=None
) -> Iterator[Batch]:
  """Yields training batches without end, until it is closed.

  Args:
    start_step: steps done before the first batch.
    rows: rows of the global batch that this process reads.
    bad: the split's `BadImages`; None: one that writes no file.

  Yields:
    {'image': uint8 [rows, S, S, C], 'label': int32 [rows]}.
  """
  hide_gpus()
  data, seed = config.data, tf.constant(config.seed, tf.int64)

  def decode_record(position, record, _):  # substitutes are trained on, too
    key = tf.stack([seed, position])
    image = decode.train_image(record['image'], key, data, record.get('boxes'))
    return {'image': image, 'label': tf.cast(record['label'], tf.int32)}

  elements = _training_order(split, config, rows)
  return _batches(
    elements, decode_record, split, data, bad, start_step, len(rows)
  )


def view_positions(
  split: Indexed, config, start_step: int, rows: range
) -> Iterator[np.ndarray]:
  """Yields where `view_batches` has what is trained on: int64 [rows].

  The records are those of `train_batches`, and an epoch takes the next view.
  """
  hide_gpus()
  views = config.fine_tune.cached_views

  def of_view(position, number):
    return (position // split.size % views) * split.size + number

  elements = _training_order(split, config, rows)(start_step)
  return elements.map(of_view).batch(len(rows)).as_numpy_iterator()


def _training_order(split: Split, config, rows: range) -> order.Elements:
  return order.training(
    *(split, config.seed, config.batch_size, rows),
    *(config.data.repeats, bool(config.data.sampling)),
  )


def train_batch_spec(config) -> Batch:
  """Returns the global training batch, as zeros that take no memory."""
  size = config.data.image_size
  shape = (config.batch_size, size, size, config.data.channels)
  return {
    'image': np.broadcast_to(np.uint8(0), shape),
    'label': np.broadcast_to(np.int32(0), shape[:1]),
  }


def eval_batches(
  split: Split,
  data,
  batch_size: int,
  rows: range,
  bad=None,
  kept=None,
  start_step: int = 0,
  also=None,
  prepare=decode.eval_canvases,
) -> Iterator[Batch]:
  """Yields every record once, in order, padded to whole batches.

  Args: as `train_batches`, with `config.data` and the global batch size.
    kept: keeps TensorFlow's graph from one evaluation with these arguments to
      the next: a dict, empty before the first.
    also: undecoded image → a dict of further features of the batch.
    prepare: (undecoded image, data) → a dict of the features of the batch.

  Yields:
    {'label': int32 [rows], 'mask': float32 [rows]} and what `prepare` makes, of
    `decode.eval_canvases` such as 'image': uint8 [rows, S, S, C]. The mask is
    1 on records, and 0 on padding and in place of bad images.
  """
  hide_gpus()

  def decode_record(position, record, is_substitute):
    real = tf.logical_and(position < split.size, tf.logical_not(is_substitute))
    return {
      **prepare(record['image'], data),
      **(also(record['image']) if also else {}),
      'label': tf.cast(record['label'], tf.int32),
      'mask': tf.cast(real, tf.float32),
    }

  elements = order.evaluation(split, batch_size, rows)
  return _batches(
    *(elements, decode_record, split, data, bad, start_step, len(rows), kept)
  )


def view_batches(
  split: Indexed, config, start_step: int, batch_size: int, rows: range, bad
) -> Iterator[Batch]:
  """Yields `fine_tune.cached_views` training images of each record.

  Position p holds the view p // size of record p % size. Views are prepared,
  and bad images replaced, as in `train_batches`.

  Args: as `train_batches`.
    batch_size: global batch size.

  Yields:
    {'image': uint8 [rows, S, S, C], 'label': int32 [rows], 'position': int32
    [rows], 'mask': float32 [rows], 0 on padding}.
  """
  hide_gpus()
  data, seed = config.data, tf.constant(config.seed, tf.int64)
  views = config.fine_tune.cached_views

  def decode_record(position, record, _):
    key = tf.stack([seed, position])
    image = decode.train_image(record['image'], key, data, record.get('boxes'))
    real = position < split.size * views
    return {
      'image': image,
      'label': tf.cast(record['label'], tf.int32),
      'position': tf.cast(position, tf.int32),
      'mask': tf.cast(real, tf.float32),
    }

  elements = order.evaluation(split, batch_size, rows, views)
  return _batches(
    elements, decode_record, split, data, bad, start_step, len(rows)
  )


def eval_images(split: Split, data, positions) -> dict[int, np.ndarray]:
  """Returns the evaluation crop of some records: position → uint8 [S, S, C].

  It is the single crop, whatever `data.eval_protocol` is.
  """
  if isinstance(split, Indexed):
    elements = [(p, tf.constant(p, tf.int64)) for p in positions]
  else:
    elements = enumerate(split.epoch(None).take(max(positions, default=-1) + 1))
  wanted = set(positions)
  return {
    position: decode.eval_image(split.fetch(element)['image'], data).numpy()
    for position, element in elements
    if position in wanted
  }


@closing.closed_at_exit
def _batches(
  elements, decode_record, split, data, bad, step: int, size: int, kept=None
) -> Iterator[Batch]:
  """Yields batches, prefetched, with a substitute for each bad image.

  Args:
    elements: an `order.Elements`.
    decode_record: (position, record, whether it is a substitute) → features of
      a batch, for one image.
    size: images per batch.
    kept: a dict for the last dataset, by its step and number of bad images.

  Raises:
    UserError: damaged or missing records, or labels out of range.
  """
  classes, source = len(split.class_names), data.source
  bad = bad or BadImages(split, data)
  kept = {} if kept is None else kept
  # No function here branches in Python on a tensor, and AutoGraph's search took
  # two seconds, which slowed the tracing of the training step.
  dataset = tf.autograph.experimental.do_not_convert(reading.dataset)
  while True:
    try:
      key = step, len(bad.substitutes)
      if key not in kept:
        kept.clear()
        kept[key] = dataset(
          *(elements(step), split, bad.substitution()),
          *(decode_record, size, data.workers),
        )
      for batch in kept[key].as_numpy_iterator():
        wrong = (batch['label'] < 0) | (batch['label'] >= classes)
        if wrong.any():
          raise errors.UserError(
            f'{source}: label {batch["label"][wrong][0]} is not one of its '
            f'{classes} classes; a split without labels cannot be used'
          )
        yield batch
        step += 1
      return
    except (tf.errors.OpError, UnicodeDecodeError) as error:
      if split.together:
        split.together.check()
      reason = one_line(error)
      try:
        retry = bad.find(elements(step).take(size), decode_record)
      except (tf.errors.OpError, UnicodeDecodeError):
        retry = False  # the records themselves cannot be read
      if not retry:
        raise errors.UserError(f'{source} cannot be read: {reason}') from error


def hide_gpus() -> None:
  """Keeps TensorFlow, which only reads data here, from taking GPU memory."""
  tf.config.set_visible_devices([], 'GPU')
