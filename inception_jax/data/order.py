"""The global order: which record is read at which position.

Training reads an endless stream of positions 0, 1, 2, …. Position p belongs to
epoch p // size, and its record is a function of the seed, the epoch and p.
Batch s holds the positions s·B … (s+1)·B − 1, so an epoch may end within a
batch, and a resume at step s starts at position s·B.

With repeated augmentation (Hoffer et al. 2019), `repeats` consecutive positions
hold the same record, and an epoch, which is as long as before, 1/`repeats` of
the records, as with timm's `RepeatAugSampler`. Since that one permutes all
records anew each epoch, an image may occur in two epochs in a row; here,
`repeats` epochs hold each record.
"""

from collections.abc import Callable
import logging

from inception_jax.data import balance
from inception_jax.data.lazy import tf
from inception_jax.data.splits import Indexed
from inception_jax.data.splits import Split

log = logging.getLogger(__name__)

_ENDLESS = 2**62

# Step → dataset, from that step's batch on, of (int64 position, element), where
# `split.fetch(element)` is the record.
Elements = Callable[[int], 'tf.data.Dataset']


def training(
  split: Split,
  seed: int,
  batch_size: int,
  rows: range,
  repeats: int = 1,
  balanced: bool = False,
) -> Elements:
  """Returns the training order: every record once per epoch, reshuffled.

  Args:
    batch_size: global batch size.
    rows: rows of the global batch that this process reads.
    repeats: consecutive positions that hold the same record.
    balanced: whether each class is drawn equally often in place of each record,
      see `balance.sampler`; for a split with `labels`.
  """
  seed = tf.constant(seed, tf.int64)
  last = tf.constant(split.size - 1, tf.int64)

  def indexed(step):
    sample = balance.sampler(split, seed) if balanced else None

    def element(row):
      position = _position(row, batch_size, rows)
      number = position // repeats
      if sample:
        return position, sample(number)
      epoch, index = number // split.size, number % split.size
      key = tf.stack([seed, epoch])
      return position, tf.random.experimental.index_shuffle(index, key, last)

    return tf.data.Dataset.range(step * len(rows), _ENDLESS).map(element)

  def copies(record):
    return tf.data.Dataset.from_tensors(record).repeat(repeats)

  def sequential(step):
    start = step * batch_size
    number, copy = divmod(start, repeats)
    first_epoch, offset = divmod(number, split.size)
    if offset:
      log.info('skipping the first %d records of this epoch', offset)
    epochs = tf.data.Dataset.range(first_epoch, _ENDLESS)
    records = epochs.flat_map(lambda e: split.epoch(tf.stack([seed, e])))
    records = records.skip(offset)
    if repeats > 1:
      records = records.flat_map(copies).skip(copy)
    numbered = records.enumerate(start)
    return numbered.filter(_is_in(rows, batch_size))

  return indexed if isinstance(split, Indexed) else sequential


def num_eval_batches(split: Split, batch_size: int) -> int:
  """Returns how many batches hold the split once, the last one padded."""
  return -(-split.size // batch_size)


def evaluation(
  split: Split, batch_size: int, rows: range, rounds: int = 1
) -> Elements:
  """Returns the evaluation order: every record once, then padding by any.

  Args: as `training`.
    rounds: how often the records follow in this order before the padding; 1
      unless the split is `Indexed`.
  """
  size = split.size * rounds
  steps = -(-size // batch_size)

  def indexed(step):
    def element(number):
      position = _position(number, batch_size, rows)
      return position, tf.minimum(position, size - 1) % split.size

    numbers = tf.data.Dataset.range(step * len(rows), steps * len(rows))
    return numbers.map(element)

  def sequential(step):
    ordered = split.epoch(None)
    records = ordered.concatenate(ordered.take(1).repeat())
    records = records.take(steps * batch_size).enumerate()
    return records.skip(step * batch_size).filter(_is_in(rows, batch_size))

  return indexed if isinstance(split, Indexed) else sequential


def _position(number, batch_size: int, rows: range):
  """Returns the position of the `number`-th record of these rows, int64."""
  batch, row = number // len(rows), number % len(rows)
  return batch * batch_size + rows.start + row


def _is_in(rows: range, batch_size: int):
  """Returns the filter for positions whose row is in `rows`."""

  def is_in_rows(position, *_):
    row = position % batch_size
    return (rows.start <= row) & (row < rows.stop)

  return is_in_rows
