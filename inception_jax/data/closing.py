"""Iterators that are closed before the interpreter shuts down."""

import atexit
from collections.abc import Callable
from collections.abc import Generator
import contextlib
import functools
import weakref

_unfinished: weakref.WeakSet[Generator] = weakref.WeakSet()


def closed_at_exit(make: Callable[..., Generator]) -> Callable[..., Generator]:
  """Decorates a generator function that holds an iterator of tf.data.

  When that is destroyed, TensorFlow waits for the elements that are being
  computed. Once the interpreter shuts down, those that call Python functions
  never end, and neither does the process.
  """

  @functools.wraps(make)
  def made(*args, **kwargs):
    _register()
    generator = make(*args, **kwargs)
    _unfinished.add(generator)
    return generator

  return made


@functools.cache
def _register() -> None:
  # Functions run in reverse order: this one before those of TensorFlow, which
  # the first caller has imported.
  atexit.register(_close)


def _close() -> None:
  for generator in list(_unfinished):
    with contextlib.suppress(ValueError):  # another thread is in it
      generator.close()
