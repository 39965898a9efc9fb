"""Images that cannot be decoded: replaced, counted and named.

Decoding runs in TensorFlow's threads and is not slowed down by this. When a
batch fails, its images are tried one by one, each bad one is replaced by the
next good one, and reading continues from that batch. What is known is looked up
in TensorFlow's graph: by record where elements are record numbers, so that a
bad image costs that once, and else by position. Whether an image is bad does
not depend on its crop, so the substitute depends on the data alone, and a
resume repeats it.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import logging
import re
from typing import Any

from etils import epath
import jax

from inception_jax import errors
from inception_jax.data import splits
from inception_jax.data.lazy import tf

log = logging.getLogger(__name__)

FILE = 'bad_images.txt'


class BadImages:
  """The bad images of one split, as far as this process has read it.

  Attributes:
    substitutes: number of a bad record → that of the record that is read
      instead; for a `Sequential` split whose elements are no numbers, position
      → place in file order.
  """

  def __init__(self, split: splits.Split, data, workdir: str = ''):
    """Starts with none; `workdir` gets bad_images.txt, unless it is ''."""
    self.substitutes: dict[int, int] = {}
    self._split = split
    # Each process writes a file of its own.
    name = FILE if not jax.process_index() else f'{jax.process_index()}-{FILE}'
    self._path = epath.Path(workdir) / name if workdir else None
    self._max_fraction = data.max_bad_fraction
    self._reasons: dict[str, str] = {}
    # The first elements of a `Sequential` split, as many as were tried.
    self._first: list[dict[str, Any]] = []
    # By the number of the record.
    self._contents: dict[int, Any] = {}

  @property
  def reasons(self) -> dict[str, str]:
    """Why each bad image cannot be decoded, by its name."""
    return dict(self._reasons)

  @property
  def lines(self) -> list[str]:
    """A line for each bad image: its name and the reason."""
    return [f'{name}: {reason}' for name, reason in self._reasons.items()]

  def substitution(self) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Returns the function that replaces the bad images known so far.

    It maps (int64 position, element) to (element, bool: is it a substitute),
    where an element is what `split.fetch` takes.
    """
    if not self.substitutes:
      return lambda position, element: (element, tf.constant(False))
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

    def substitute(position, element):
      number = table.lookup(_key(position, element))
      is_bad = number >= 0
      element = tf.cond(is_bad, lambda: by_number(number), lambda: element)
      return element, is_bad

    return substitute

  def find(self, elements: Iterable, decode: Callable[..., Any]) -> bool:
    """Tries the images of a batch; returns whether new bad ones were found.

    Args:
      elements: (position, element) of each image.
      decode: (position, record, whether it is a substitute) → anything; raises
        if the image is bad.

    Raises:
      UserError: more than `data.max_bad_fraction` of the split are bad.
    """
    known, elements = len(self.substitutes), list(elements)
    self._read_together([element for _, element in elements])
    for position, element in elements:
      key = int(_key(position, element))
      if key in self.substitutes or self._decodes(position, element, decode):
        continue
      candidates = self._candidates(element)
      good = (n for n, x in candidates if self._decodes(position, x, decode))
      self.substitutes[key] = number = next(good, -1)
      if number < 0:
        raise errors.UserError(
          f'none of the {self._split.size} images can be decoded:',
          *self._listing(),
        )
    return len(self.substitutes) > known

  def _read_together(self, elements: list) -> None:
    """Reads the records of a batch at once, where that is faster."""
    self._contents = {}
    if (together := self._split.together) and elements:
      try:
        contents = together.read(tf.stack(elements))
      except tf.errors.OpError:
        together.check()
        raise
      self._contents = dict(zip(map(int, elements), contents, strict=True))

  def _fetch(self, element):
    if self._split.together and int(element) in self._contents:
      content = self._contents[int(element)]
      return self._split.together.record(element, content)
    return self._split.fetch(element)

  def _candidates(self, element) -> Iterator[tuple[int, Any]]:
    """Yields (number, element) of the records to try in place of a bad one."""
    size = self._split.size
    if isinstance(self._split, splits.Indexed):
      for offset in range(1, size):
        index = (element + offset) % size
        yield int(index), index
    else:
      for number, candidate in enumerate(self._split.epoch(None)):
        if number == len(self._first):
          self._first.append(candidate)
        yield number, candidate

  def _decodes(self, position, element, decode) -> bool:
    try:
      decode(position, self._fetch(element), tf.constant(False))
    except Exception as error:  # each decoder raises its own
      if self._split.together:  # what was not read is not bad
        self._split.together.check()
      element = tf.nest.map_structure(lambda x: x.numpy(), element)
      name = errors.printable(self._split.name(element))
      if name not in self._reasons:
        self._add(name, errors.printable(one_line(error)))
      return False
    return True

  def _add(self, name: str, reason: str) -> None:
    self._reasons[name] = reason
    log.warning('cannot decode %s: %s', name, reason)
    if self._path:
      before = self._path.read_bytes() if self._path.exists() else b''
      before = before.decode(errors='backslashreplace')
      lines = sorted({*before.splitlines(), *self.lines})
      self._path.parent.mkdir(parents=True, exist_ok=True)
      self._path.write_text('\n'.join([*lines, '']))
    if len(self._reasons) > self._max_fraction * self._split.size:
      where = f'; all are in {self._path}' if self._path else ''
      raise errors.UserError(
        f'{len(self._reasons)} of {self._split.size} images cannot be decoded, '
        f'more than data.max_bad_fraction={self._max_fraction:g}{where}:',
        *self._listing(),
      )

  def _listing(self) -> list[str]:
    return errors.shorten([f'  {line}' for line in self.lines])


def _key(position, element):
  """Returns what `BadImages.substitutes` is keyed by: an int64 scalar."""
  is_number = tf.is_tensor(element) and element.dtype == tf.int64
  return element if is_number else position


def one_line(error: Exception) -> str:
  """Returns `errors.one_line`, without the words of assertions."""
  text = str(error)
  if isinstance(error, UnicodeDecodeError):
    # A message that quotes the file, which TensorFlow cannot make a string of.
    text = error.object.decode(errors='backslashreplace')
  text = re.sub(r'assertion failed: \[(.*?)\]', r'\1', text)
  return errors.one_line(text) if text else type(error).__name__
