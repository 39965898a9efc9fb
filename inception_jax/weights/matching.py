"""Recognizes the network of a file by the names of its tensors."""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
import re

from inception_jax.weights import heads
from inception_jax.weights.sources import Source

_MAX_NAME = 300  # characters; the names of networks have less than 100


def match_source(
  names: Iterable[str], sources: Iterable[Source]
) -> tuple[Source, str] | None:
  """Finds the network whose body's tensor names match best.

  The classifier is not counted: a file may have none, or another one.

  Args:
    names: of the file's tensors.
    sources: the networks; the first wins a tie.

  Returns:
    The network, and the prefix of its names in this file, such as
    'module.model.'; of equally good ones that of a moving average. None if no
    network has more than half of its names there.
  """
  names = [name for name in names if len(name) <= _MAX_NAME]
  best, best_score = None, (0.5, 0, False)
  for source in sources:
    expected, _ = heads.names(source)
    counts = collections.Counter(
      prefix
      for whole in names
      for prefix, name in _splits(whole)
      if name in expected
    )
    for prefix, count in counts.items():
      # The count breaks ties: in Keras, the names of a small network are a
      # subset of a larger one's.
      score = count / len(expected), count, 'ema' in prefix.lower()
      if score > best_score:
        best, best_score = (source, prefix), score
  return best


def _splits(name: str) -> Iterator[tuple[str, str]]:
  """Yields each way to split a tensor's name: a module's, and the rest."""
  yield '', name
  for separator in re.finditer('[./]', name):
    yield name[: separator.end()], name[separator.end() :]
