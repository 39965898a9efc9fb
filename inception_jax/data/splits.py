"""The two kinds of split: records by index, or records in file order."""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
from typing import Any

import numpy as np

from inception_jax.config import validation
from inception_jax.data import digests
from inception_jax.data.lazy import tf


@dataclasses.dataclass(frozen=True)
class Together:
  """How to read many records at once, where each takes a while.

  Attributes:
    read: int64 [N] indices → strings [N].
    record: index, its string → record; fails if that is damaged.
    check: raises RunError if `read` has failed.
  """

  read: Callable[[Any], Any]
  record: Callable[[Any, Any], dict[str, Any]]
  check: Callable[[], None]


@dataclasses.dataclass(frozen=True)
class Indexed:
  """A split whose records can be read in any order.

  Attributes:
    size: number of records.
    class_names: one per class, in the order of the labels.
    fetch: int64 index tensor, 0 ≤ index < size → record.
    name: index → the record's name for people, such as its path.
    digest: returns a digest of what is known of the records without reading
      them: names, sizes, labels, checksums. Splits of other data have others.
    labels: integer [size], where they are known without reading the records.
    together: does what `fetch` does for many; None: one by one is as fast.
  """

  size: int
  class_names: tuple[str, ...]
  fetch: Callable[[Any], dict[str, Any]]
  name: Callable[[Any], str] = 'record {}'.format
  digest: Callable[[], str] = str
  labels: np.ndarray | None = None
  together: Together | None = None


@dataclasses.dataclass(frozen=True)
class Sequential:
  """A split in files that are read from front to back.

  Attributes:
    size, class_names, digest: as in `Indexed`.
    epoch: int64 [2] tensor (seed, epoch) → tf.data.Dataset of every record
      once, undecoded, in an order that depends on it; None → in file order.
      Iteration fails unless there are `size` records.
    fetch: element of `epoch` → record.
    name: element of `epoch` → the record's name for people.
    labels, together: as in `Indexed`.
  """

  size: int
  class_names: tuple[str, ...]
  epoch: Callable[[Any], Any]
  fetch: Callable[[Any], dict[str, Any]]
  name: Callable[[Any], str]
  digest: Callable[[], str]
  labels: np.ndarray | None = None
  together: None = None


Split = Indexed | Sequential


def check_splits(config, known) -> list[str]:
  """Returns a message for each of the config's splits not in `known`."""
  keys = ('data.train_split', 'data.eval_split')
  accepted = validation.one_of(tuple(known))
  return validation.out_of_range(config, dict.fromkeys(keys, accepted))


def first(split: Split, count: int) -> Split:
  """Returns the first `count` records of a split, in file order."""
  labels = None if split.labels is None else split.labels[:count]
  digest = lambda: digests.digest([split.digest()], np.array(count))
  return dataclasses.replace(split, size=count, labels=labels, digest=digest)


def record_names(split: Split) -> Iterator[str]:
  """Returns the name of each record, in order."""
  if isinstance(split, Indexed):
    return map(split.name, range(split.size))
  return map(split.name, split.epoch(None).as_numpy_iterator())


def from_arrays(images, labels, class_names) -> Indexed:
  """Returns a split of arrays in memory.

  Args:
    images: uint8 [N, H, W, 1 or 3], or strings [N].
    labels: integer [N].
    class_names: one per class, in the order of the labels.
  """
  # Converted once, outside of the graph that reads them.
  images, labels = tf.constant(images), tf.constant(labels, tf.int64)

  def fetch(index):
    return {
      'image': tf.gather(images, index),
      'label': tf.gather(labels, index),
    }

  digest = lambda: digests.digest((), images.numpy(), labels.numpy())
  return Indexed(
    len(labels),
    tuple(class_names),
    fetch,
    digest=digest,
    labels=labels.numpy(),
  )
