"""The two kinds of split that a source can be made of."""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
from typing import Any

from inception_jax.config import validation


@dataclasses.dataclass(frozen=True)
class Indexed:
  """A split whose records can be read in any order.

  Attributes:
    size: number of records.
    class_names: one a class, in the order of the labels.
    fetch: int64 index tensor, 0 ≤ index < size → record.
    name: index tensor → what a person would look for.
  """

  size: int
  class_names: tuple[str, ...]
  fetch: Callable[[Any], dict[str, Any]]
  name: Callable[[Any], str] = 'record {}'.format


def unknown(config, names) -> list[str]:
  """A fault for each split of `config.data` that is not among `names`."""
  keys = ('data.train_split', 'data.eval_split')
  known = validation.one_of(tuple(names))
  return validation.out_of_range(config, dict.fromkeys(keys, known))


def names(split) -> Iterator[str]:
  """Of each record in order, what a person would look for."""
  if isinstance(split, Indexed):
    yield from map(split.name, range(split.size))
    return
  for element in split.epoch(None).as_numpy_iterator():
    yield split.name(element)


def from_arrays(images, labels, class_names) -> Indexed:
  """A split that lies in memory.

  Args:
    images: uint8 [N, H, W, 1 or 3].
    labels: integer [N].
    class_names: one a class, in the order of the labels.
  """
  import tensorflow as tf

  # Once, outside of the graph that reads them.
  images, labels = tf.constant(images), tf.constant(labels, tf.int64)

  def fetch(index):
    return {
      'image': tf.gather(images, index),
      'label': tf.gather(labels, index),
    }

  return Indexed(len(labels), tuple(class_names), fetch)


@dataclasses.dataclass(frozen=True)
class Sequential:
  """A split that lies in files to be read from front to back.

  Attributes:
    size: number of records.
    class_names: one a class, in the order of the labels.
    epoch: int64 [2] tensor (seed, epoch) → tf.data.Dataset of every record
      once, as it lies in the file, shuffled by it; None → in file order. It
      fails unless they are `size`.
    fetch: what `epoch` yields → record.
    name: the same → what a person would look for.
  """

  size: int
  class_names: tuple[str, ...]
  epoch: Callable[[Any], Any]
  fetch: Callable[[Any], dict[str, Any]]
  name: Callable[[Any], str]
