"""What a training's wall time went to, over all of its starts.

Each checkpoint's record has the seconds until it was saved. A start that
resumes from it goes on counting there: what the process before did after that
save is lost, and counts as the restart's, as the time in between does.
"""

from collections.abc import Iterator
import contextlib
import logging
import math
import time
from typing import Any

from inception_jax.runtime import progress_bar

log = logging.getLogger(__name__)

STEPS, INPUT, EVALUATION = 'steps', 'input', 'evaluation'
SAVING, COMPILING = 'saving', 'compiling'
STARTING, RESTARTS, OTHER = 'starting', 'restarts', 'other'
KINDS = (STEPS, INPUT, EVALUATION, SAVING, COMPILING, STARTING, RESTARTS, OTHER)
# When the totals were taken, in seconds since 1970.
_UNTIL = 'until'


class Goodput:
  """The seconds of a training, by kind.

  Those of steps and of waiting for input are those of `progress`.
  """

  def __init__(self, before: dict[str, float]):
    """Starts counting.

    Args:
      before: `totals` at the checkpoint that is resumed; {} if none is, or an
        earlier version saved it.
    """
    self._begin = _process_start()
    self._before = dict.fromkeys(KINDS, 0.0) | before
    if before:
      # Clocks of hosts differ.
      gap = self._begin - self._before.pop(_UNTIL)
      self._before[RESTARTS] += max(gap, 0.0)
    self._seconds = dict.fromkeys(KINDS, 0.0)

  @contextlib.contextmanager
  def counted(self, kind: str) -> Iterator[None]:
    """Counts the seconds of a block."""
    start = time.perf_counter()
    try:
      yield
    finally:
      self._seconds[kind] += time.perf_counter() - start

  def started(self) -> None:
    """Counts all until now, but for what was counted, as the start's."""
    counted = sum(self._seconds.values())
    self._seconds[STARTING] += time.time() - self._begin - counted

  def totals(self, seconds: float, waited: float) -> dict[str, float]:
    """Returns the seconds by kind until now, over all starts.

    Args:
      seconds: of this start's steps, with the wait for their input.
      waited: of these, those of the wait.
    """
    own = self._seconds | {STEPS: seconds - waited, INPUT: waited}
    now = time.time()
    own[OTHER] = max(now - self._begin - sum(own.values()), 0.0)
    return {_UNTIL: now} | {x: self._before[x] + own[x] for x in KINDS}


def share(totals: dict[str, float]) -> float:
  """Returns the share of the wall time that went to steps."""
  return totals[STEPS] / sum(totals[kind] for kind in KINDS)


def is_totals(value: Any) -> bool:
  """Returns whether a record's value is what `Goodput.totals` returned."""
  return (
    isinstance(value, dict)
    and value.keys() == {_UNTIL, *KINDS}
    and all(type(x) is float and 0 <= x < math.inf for x in value.values())
  )


def by_kind(totals: Any) -> dict[str, float]:
  """Returns the seconds of each kind.

  {} if they are no totals, or none went by: an earlier version saved none.
  """
  if not is_totals(totals):
    return {}
  seconds = {kind: totals[kind] for kind in KINDS}
  return seconds if 0 < sum(seconds.values()) < math.inf else {}


def describe(totals: dict[str, float]) -> str:
  """Returns the shares in one line: 'goodput 91.2 % of 1:02:03: …'."""
  whole = sum(totals[kind] for kind in KINDS)
  shares = ', '.join(
    f'{kind} {100 * totals[kind] / whole:.1f} %' for kind in KINDS
  )
  time_taken = progress_bar.format_duration(whole)
  return f'goodput {100 * share(totals):.1f} % of {time_taken}: {shares}'


def _process_start() -> float:
  """Returns when this process started, in seconds since 1970."""
  import psutil

  return psutil.Process().create_time()
