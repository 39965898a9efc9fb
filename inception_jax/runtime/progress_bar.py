"""Progress bars and readable durations."""

from collections.abc import Iterable
from collections.abc import Iterator
import logging
import time
from typing import Any

import tqdm

from inception_jax.runtime.process import is_primary

log = logging.getLogger(__name__)

_LOG_SECONDS = 5


def progress_bar(
  total: int, description: str, unit: str, initial: int = 0
) -> tqdm.tqdm:
  """Returns a progress bar with the time left, disabled without a terminal."""
  return tqdm.tqdm(
    total=total,
    desc=description,
    unit=f' {unit}',
    initial=initial,
    leave=False,
    dynamic_ncols=True,
    disable=None if is_primary() else True,
  )


def track(
  items: Iterable, total: int, description: str, unit: str
) -> Iterator[Any]:
  """Yields `total` items, and shows how many of them the caller is done with.

  Without a terminal, logs it and the time left every few seconds. The first
  item, which may compile, says nothing about the time of the others.
  """
  logged, clock = time.perf_counter(), Clock()
  with progress_bar(total, description, unit) as bar:
    for i, item in enumerate(items, 1):
      yield item
      clock.count()
      if i == 1:
        bar.n = bar.initial = 1
        bar.unpause()
      else:
        bar.update()
      now = time.perf_counter()
      if bar.disable and i < total and now - logged > _LOG_SECONDS:
        logged = now
        left = ''
        if i > 1:
          left = f', {format_duration((total - i) / clock.per_second(i))} left'
        log.info('%s: %d of %d %s%s', description, i, total, unit, left)


class Clock:
  """Throughput of a loop without its first pass, which may compile."""

  def __init__(self):
    self._start = self._after_first = time.perf_counter()
    self._first = 0

  def count(self, items: int = 1) -> None:
    """Notes that a pass of the loop has ended; the first one had `items`."""
    if not self._first:
      self._first, self._after_first = items, time.perf_counter()

  def per_second(self, items: int) -> float:
    """Returns the items a second, given how many there are by now.

    With the first pass if there was no other.
    """
    now = time.perf_counter()
    if items > self._first:
      return (items - self._first) / (now - self._after_first)
    return items / (now - self._start)


def format_duration(seconds: float) -> str:
  """Returns '2:03:04' or '3:04'; tqdm's would be '03:04'."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  if hours:
    return f'{hours}:{minutes:02}:{seconds:02}'
  return f'{minutes}:{seconds:02}'
