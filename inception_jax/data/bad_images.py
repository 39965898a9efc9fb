"""Images that cannot be decoded: replaced, counted, named.

Decoding runs in TensorFlow's threads and is not slowed down by this. When a
batch fails, its images are tried one by one, each that fails is replaced by
the next that does not, and reading goes on from that batch. Which image stands
at a position depends on the data alone, so that a resume repeats it.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import logging
import re
from typing import Any

from etils import epath
from etils import epy
import jax

from inception_jax import errors
from inception_jax.data.splits import Indexed
from inception_jax.data.splits import Sequential

# Seconds: not until data are read.
with epy.lazy_imports():
  import tensorflow as tf

log = logging.getLogger(__name__)

FILE = 'bad_images.txt'


class BadImages:
  """Those of one split, as far as this process has read it.

  Attributes:
    substitutes: position → the number of the record that is read there
      instead, of a `Sequential` split in file order.
  """

  def __init__(self, split: Indexed | Sequential, config, workdir: str = ''):
    self.substitutes: dict[int, int] = {}
    self._split = split
    # A process does not write into what another writes.
    name = FILE if not jax.process_index() else f'{jax.process_index()}-{FILE}'
    self._path = epath.Path(workdir) / name if workdir else None
    self._most = config.data.max_bad_fraction * split.size
    self._reasons: dict[str, str] = {}
    # Of a `Sequential` split: as many as have been looked at.
    self._first: list[dict[str, Any]] = []

  @property
  def lines(self) -> list[str]:
    """Of each image that was found to be bad: its name, and why."""
    return [f'{name}: {reason}' for name, reason in self._reasons.items()]

  def replacing(self) -> Callable[[Any, Any], tuple[Any, Any]]:
    """What to read instead, as far as it is known now.

    Returns:
      (position, what the split has there) → (what to read, whether that is a
      substitute): int64 and bool tensors, and what `split.fetch` takes.
    """
    if not self.substitutes:
      return lambda position, own: (own, tf.constant(False))
    # Made here, not in the function: that is traced, and called by threads.
    table = tf.lookup.StaticHashTable(
      tf.lookup.KeyValueTensorInitializer(
        tf.constant(list(self.substitutes), tf.int64),
        tf.constant(list(self.substitutes.values()), tf.int64),
      ),
      default_value=-1,
    )
    by_number = lambda number: number
    if self._first:
      stacked = tf.nest.map_structure(lambda *x: tf.stack(x), *self._first)
      by_number = lambda number: tf.nest.map_structure(
        lambda column: column[number], stacked
      )

    def replace(position, own):
      number = table.lookup(position)
      spare = number >= 0
      return tf.cond(spare, lambda: by_number(number), lambda: own), spare

    return replace

  def find(
    self, elements: Iterable, decode: Callable[[Any, Any, Any], Any]
  ) -> bool:
    """Tries the images of a batch one by one.

    Args:
      elements: (position, what the split has there) of each.
      decode: (position, record, whether it is a substitute) → anything; it
        fails where the image is bad.

    Returns:
      Whether there are any that are not replaced yet.

    Raises:
      UserError: more than `data.max_bad_fraction` of all are.
    """
    known = len(self.substitutes)
    for position, own in elements:
      if not self._decodes(position, own, decode):
        tried = self._others(own)
        good = (n for n, x in tried if self._decodes(position, x, decode))
        self.substitutes[int(position)] = number = next(good, -1)
        if number < 0:
          raise errors.UserError(
            f'none of the {self._split.size} images can be decoded:',
            *errors.shorten([f'  {line}' for line in self.lines]),
          )
    return len(self.substitutes) > known

  def _others(self, own) -> Iterator[tuple[int, Any]]:
    """What is tried instead of a record, with the number of each."""
    size = self._split.size
    if isinstance(self._split, Indexed):
      for step in range(1, size):
        index = (own + step) % size
        yield int(index), index
    else:
      for number, element in enumerate(self._split.epoch(None)):
        if number == len(self._first):
          self._first.append(element)
        yield number, element

  def _decodes(self, position, own, decode) -> bool:
    try:
      decode(position, self._split.fetch(own), tf.constant(False))
    except Exception as error:  # each decoder has its own
      name = self._split.name(tf.nest.map_structure(lambda x: x.numpy(), own))
      if name not in self._reasons:
        self._note(name, one_line(error))
      return False
    return True

  def _note(self, name: str, reason: str) -> None:
    self._reasons[name] = reason
    log.warning('left out: %s: %s', name, reason)
    if self._path:
      before = []
      if self._path.exists():
        before = self._path.read_text().splitlines()
      lines = sorted({*before, *self.lines})
      self._path.parent.mkdir(parents=True, exist_ok=True)
      self._path.write_text('\n'.join([*lines, '']))
    if len(self._reasons) > self._most:
      where = f'; all are in {self._path}' if self._path else ''
      raise errors.UserError(
        f'{len(self._reasons)} of {self._split.size} images cannot be decoded, '
        f'more than data.max_bad_fraction={self._most / self._split.size:g}'
        f'{where}:',
        *errors.shorten([f'  {line}' for line in self.lines]),
      )


def one_line(error: Exception) -> str:
  """What happened, without TensorFlow's names of nodes and operations."""
  text = re.sub(r'\{\{.*?\}\}|\[Op:\w+\]( name:)?', '', str(error))
  return ' '.join(text.split())[:200] or type(error).__name__
