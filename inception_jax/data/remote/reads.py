"""Records of a dataset in a bucket, many read at once.

Requests wait for each other's answers as little as possible, and hold a bounded
number of bytes. What cannot be read ends the training: it is no bad image.
"""

import collections
from collections.abc import Callable
import dataclasses
from typing import Any
from typing import NamedTuple

import numpy as np

from inception_jax.data.lazy import tf
from inception_jax.data.remote.mounts import Mounted
from inception_jax.data.splits import Indexed
from inception_jax.data.splits import Together
from inception_jax.errors import RunError

_MAX_BYTES = 2**26  # that a call asks for and has not got yet
_GUESS = 2**20  # bytes of an object of unknown size


class Span(NamedTuple):
  """An object's number and bytes; `end` is None: all of it."""

  number: int
  begin: int = 0
  end: int | None = None


class _Reads:
  def __init__(self, mounted: Mounted, span: Callable[[int], Span], convert):
    self._mounted, self._span, self._convert = mounted, span, convert
    self._failure = None

  def many(self, indices: np.ndarray) -> np.ndarray:
    """Returns bytes for each index: object [N]; threads may call this."""
    results, waiting, held = [], collections.deque(), 0

    def finish():
      span, size, started = waiting.popleft()
      content = self._mounted.finish(span.number, started)
      results.append(self._convert(content))
      return size

    try:
      for index in indices.tolist():
        span = self._span(index)
        size = _GUESS if span.end is None else span.end - span.begin
        while waiting and held + size > _MAX_BYTES:
          held -= finish()
        held += size
        waiting.append((span, size, self._mounted.start(*span)))
      while waiting:
        finish()
    except RunError as error:
      self._failure = error
      raise
    return np.array(results, object)

  def check(self) -> None:
    """Raises the error of a read that failed, if one did."""
    if self._failure:
      raise self._failure


def split_of(
  listed: Indexed,
  mounted: Mounted,
  span: Callable[[int], Span],
  record: Callable[[Any, Any], dict[str, Any]],
  convert: Callable[[bytes], bytes] = bytes,
) -> Indexed:
  """Returns a split with its records read from a bucket.

  Args:
    listed: the split, but for that.
    mounted: what is in the bucket.
    span: index → where the record is.
    record: index and bytes, tensors → the record.
    convert: changes the bytes that are read.
  """
  reads = _Reads(mounted, span, convert)
  mounted.versions()  # now, and not in threads

  def read(indices):
    found = tf.numpy_function(reads.many, [indices], tf.string, stateful=False)
    return tf.ensure_shape(found, (None,))

  return dataclasses.replace(
    listed,
    fetch=lambda index: record(index, read(index[None])[0]),
    together=Together(read, record, reads.check),
  )
