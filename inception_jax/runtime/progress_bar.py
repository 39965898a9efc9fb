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

  Without a terminal, logs it and the time left every few seconds.
  """
  start = logged = time.perf_counter()
  with progress_bar(total, description, unit) as bar:
    for i, item in enumerate(items, 1):
      yield item
      bar.update()
      now = time.perf_counter()
      if bar.disable and i < total and now - logged > _LOG_SECONDS:
        logged = now
        left = format_duration((now - start) * (total - i) / i)
        log.info('%s: %d of %d %s, %s left', description, i, total, unit, left)


def format_duration(seconds: float) -> str:
  """Returns '2:03:04' or '3:04'; tqdm's would be '03:04'."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  if hours:
    return f'{hours}:{minutes:02}:{seconds:02}'
  return f'{minutes}:{seconds:02}'
