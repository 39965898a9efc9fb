"""Which record is read at which position.

Training reads an endless stream of positions 0, 1, 2, …; position p belongs
to epoch p // size, and what is there depends on the seed, the epoch and p
alone. Batch s holds the positions s·B … (s+1)·B − 1, so an epoch may end
within a batch, and a resume at step s starts at position s·B.
"""

from collections.abc import Callable
import logging

from etils import epy

from inception_jax.data.splits import Indexed

# Seconds: not until data are read.
with epy.lazy_imports():
  import tensorflow as tf

log = logging.getLogger(__name__)

_ENDLESS = 2**62

# Step → from its batch on, (int64 position, what `split.fetch` takes).
Elements = Callable[[int], 'tf.data.Dataset']


def training(split, seed: int, batch_size: int, rows: range) -> Elements:
  """Every record once an epoch, shuffled anew in each, without end.

  Args:
    split: an `Indexed` or `Sequential` split.
    seed: of the shuffling.
    batch_size: of all processes together.
    rows: which of its rows are read here.
  """
  seed = tf.constant(seed, tf.int64)
  last = tf.constant(split.size - 1, tf.int64)
  place, ours = _position(rows, batch_size), _in_rows(rows, batch_size)

  def indexed(step):
    def element(number):
      position = place(number)
      epoch, index = position // split.size, position % split.size
      key = tf.stack([seed, epoch])
      shuffled = tf.random.experimental.index_shuffle(index, key, last)
      return position, shuffled

    return tf.data.Dataset.range(step * len(rows), _ENDLESS).map(element)

  def sequential(step):
    start = step * batch_size
    first_epoch, within = divmod(start, split.size)
    if within:
      log.info('reading past %d records of this epoch', within)
    epochs = tf.data.Dataset.range(first_epoch, _ENDLESS)
    records = epochs.flat_map(lambda e: split.epoch(tf.stack([seed, e])))
    return records.skip(within).enumerate(start).filter(ours)

  return indexed if isinstance(split, Indexed) else sequential


def num_eval_batches(split, batch_size: int) -> int:
  """Batches of `batch_size` that hold the split once, the last one padded."""
  return -(-split.size // batch_size)


def evaluation(split, batch_size: int, rows: range) -> Elements:
  """Every record once, as they lie there, then any up to a whole batch.

  Args: as `training`.
  """
  steps = num_eval_batches(split, batch_size)
  last = tf.constant(split.size - 1, tf.int64)
  place, ours = _position(rows, batch_size), _in_rows(rows, batch_size)

  def indexed(step):
    def element(number):
      position = place(number)
      return position, tf.minimum(position, last)

    numbers = tf.data.Dataset.range(step * len(rows), steps * len(rows))
    return numbers.map(element)

  def sequential(step):
    ordered = split.epoch(None)
    records = ordered.concatenate(ordered.take(1).repeat())
    records = records.take(steps * batch_size).enumerate()
    return records.skip(step * batch_size).filter(ours)

  return indexed if isinstance(split, Indexed) else sequential


def _position(rows: range, batch_size: int):
  """From how many of these rows came before to a position, int64 both."""

  def place(number):
    batch, row = number // len(rows), number % len(rows)
    return batch * batch_size + rows.start + row

  return place


def _in_rows(rows: range, batch_size: int):
  """The filter that leaves the positions whose row is among `rows`."""

  def ours(position, *_):
    row = position % batch_size
    return (rows.start <= row) & (row < rows.stop)

  return ours
