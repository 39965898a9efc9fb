"""Images that cannot be decoded: replaced, counted, named.

Decoding runs in TensorFlow's threads and is not slowed down by this. When a
batch fails, its images are tried one by one, each that fails is replaced by
the next that does not, and reading goes on from that batch. Which image stands
at a position depends on the data alone, so that a resume repeats it.
"""

from collections.abc import Callable
from collections.abc import Iterable
import logging
import re
from typing import Any

from etils import epath
import jax
import tensorflow as tf

from inception_jax import config as config_lib
from inception_jax.data.splits import Indexed

log = logging.getLogger(__name__)

FILE = 'bad_images.txt'
_MOST_IN_A_ROW = 1000


class BadImages:
  """Those of one split, as far as this process has read it.

  Attributes:
    substitutes: position → the record that is read there instead.
  """

  def __init__(self, split: Indexed, config, workdir: str = ''):
    self.substitutes: dict[int, int] = {}
    self._split = split
    # A process does not write into what another writes.
    name = FILE if not jax.process_index() else f'{jax.process_index()}-{FILE}'
    self._path = epath.Path(workdir) / name if workdir else None
    self._most = config.data.max_bad_fraction * split.size
    self._reasons: dict[int, str] = {}

  @property
  def lines(self) -> list[str]:
    """Of each image that was found to be bad: its name, and why."""
    return list(self._reasons.values())

  def replacing(self) -> Callable[[Any, Any], tuple[Any, Any]]:
    """What to read instead, as far as it is known now.

    Returns:
      (position, index of the record that belongs there) → (the index to read,
      whether it is a substitute); all of them int64 and bool tensors.
    """
    if not self.substitutes:
      return lambda position, index: (index, tf.constant(False))
    # Made here, not in the function: that is traced, and called by threads.
    table = tf.lookup.StaticHashTable(
      tf.lookup.KeyValueTensorInitializer(
        tf.constant(list(self.substitutes), tf.int64),
        tf.constant(list(self.substitutes.values()), tf.int64),
      ),
      default_value=-1,
    )

    def replace(position, index):
      other = table.lookup(position)
      return tf.where(other < 0, index, other), other >= 0

    return replace

  def find(
    self,
    positions: Iterable[int],
    index_of: Callable[[Any], Any],
    decode: Callable[[Any, dict], Any],
  ) -> bool:
    """Tries the images of a batch one by one; returns whether any was bad.

    Raises:
      UserError: more than `data.max_bad_fraction` of all are.
    """
    known = len(self.substitutes)
    for position in positions:
      at = tf.constant(position, tf.int64)
      own = int(index_of(at))
      for step in range(_MOST_IN_A_ROW):
        index = (own + step) % self._split.size
        if self._decodes(at, index, decode):
          break
      if index != own:
        self.substitutes[position] = index
    return len(self.substitutes) > known

  def _decodes(self, position, index: int, decode) -> bool:
    try:
      decode(position, self._split.fetch(tf.constant(index, tf.int64)))
    except Exception as error:  # each decoder has its own
      if index not in self._reasons:
        self._note(index, _in_a_line(error))
      return False
    return True

  def _note(self, index: int, reason: str) -> None:
    name = self._split.name(index)
    self._reasons[index] = f'{name}: {reason}'
    log.warning('left out: %s', self._reasons[index])
    if self._path:
      before = []
      if self._path.exists():
        before = self._path.read_text().splitlines()
      lines = sorted({*before, *self._reasons.values()})
      self._path.parent.mkdir(parents=True, exist_ok=True)
      self._path.write_text('\n'.join([*lines, '']))
    if len(self._reasons) > self._most:
      where = f'; all are in {self._path}' if self._path else ''
      raise config_lib.UserError(
        f'{len(self._reasons)} of {self._split.size} images cannot be decoded, '
        f'more than data.max_bad_fraction={self._most / self._split.size:g}'
        f'{where}:',
        *config_lib.some([f'  {text}' for text in self._reasons.values()]),
      )


def _in_a_line(error: Exception) -> str:
  """What happened, without TensorFlow's names of nodes and operations."""
  text = re.sub(r'\{\{.*?\}\}|\[Op:\w+\]( name:)?', '', str(error))
  return ' '.join(text.split())[:200] or type(error).__name__
