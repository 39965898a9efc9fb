"""What is kept of the features of a set of images, as metrics need it."""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
from typing import Any

import numpy as np

from inception_jax.fid import moments
from inception_jax.fid.moments import Moments
from inception_jax.fid.networks import LOGITS
from inception_jax.fid.networks import POOLED
from inception_jax.fid.networks import SPATIAL

# Metric → the features of which it needs the moments, and of which all rows.
_OF_REAL = {
  'fid': ((POOLED,), ()),
  'kid': ((), (POOLED,)),
  'is': ((), ()),
  'prdc': ((), (POOLED,)),
  'sfid': ((SPATIAL,), ()),
  'fid_infinity': ((POOLED,), ()),
}
_OF_FAKE = {
  **_OF_REAL,
  'is': ((), (LOGITS,)),
  'fid_infinity': ((), (POOLED,)),
}
METRICS = tuple(_OF_REAL)


class Collected:
  """Moments, and all rows where they are needed, of the features of a set."""

  def __init__(self, with_moments: Iterable[str], with_rows: Iterable[str]):
    """Collects nothing yet, of features by their names in `networks`."""
    self._sums = {name: moments.Accumulator() for name in with_moments}
    self._rows = {name: [] for name in with_rows}

  @property
  def sinks(self) -> dict[str, Callable[[np.ndarray], Any]]:
    """What takes the rows of each feature: float32 [n, D]."""

    def sink(name):
      takers = [self._sums[name].add] if name in self._sums else []
      if name in self._rows:
        takers.append(self._rows[name].append)
      return lambda rows: [take(rows) for take in takers]

    return {name: sink(name) for name in {**self._sums, **self._rows}}

  def moments(self, name: str) -> Moments:
    """Returns the mean and covariance of a feature."""
    return self._sums[name].moments()

  def rows(self, name: str) -> np.ndarray:
    """Returns a feature of all images: float32 [N, D]."""
    if len(self._rows[name]) > 1:
      self._rows[name] = [np.concatenate(self._rows[name])]
    return self._rows[name][0]


@dataclasses.dataclass(frozen=True)
class Known:
  """A set of which a file has the moments of the pooled features alone."""

  pooled: Moments
  sinks = ()  # nothing is to be computed

  def moments(self, name: str) -> Moments:
    """Returns them, for the name `networks.POOLED`."""
    return {POOLED: self.pooled}[name]


Features = Collected | Known


def need_images(
  metrics: Iterable[str], fake: bool, interval: bool
) -> list[str]:
  """Returns what statistics do not do for, of the real or the fake set."""
  table = _OF_FAKE if fake else _OF_REAL
  found = [x for x in metrics if table[x] not in (((), ()), ((POOLED,), ()))]
  return [*found, *(['--interval'] if interval and fake else [])]


def collector(
  metrics: Iterable[str], fake: bool, interval: bool, saves: bool
) -> Collected:
  """Returns what collects the features of the real or the fake set.

  Args:
    metrics: that need them.
    fake: of which set.
    interval: whether an interval needs them, too.
    saves: whether the moments of the pooled features are wanted in any case.
  """
  table = _OF_FAKE if fake else _OF_REAL
  sums, rows = (
    [name for metric in metrics for name in table[metric][kind]]
    for kind in (0, 1)
  )
  sums += [POOLED] * saves
  rows += [POOLED] * interval
  return Collected(dict.fromkeys(sums), dict.fromkeys(rows))
