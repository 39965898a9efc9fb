"""Distances and scores of two sets of images, from their features."""

from collections.abc import Iterable
import dataclasses
from typing import Any

from inception_jax.fid import frechet
from inception_jax.fid import inception_score
from inception_jax.fid import kernel
from inception_jax.fid import manifold
from inception_jax.fid.collected import Features
from inception_jax.fid.collected import Known
from inception_jax.fid.networks import LOGITS
from inception_jax.fid.networks import POOLED
from inception_jax.fid.networks import SPATIAL


@dataclasses.dataclass(frozen=True)
class Options:
  """How scores are computed.

  Attributes:
    seed: of subsets, shuffles and resamples.
    interval: the level of FID's bootstrap interval, below 1; 0: none.
    resamples: of that.
    kid_subsets, kid_subset_size: the KID's.
    is_splits: the Inception Score's.
    neighbours: k of precision and recall.
    density_neighbours: k of density and coverage.
  """

  seed: int
  interval: float
  resamples: int
  kid_subsets: int
  kid_subset_size: int
  is_splits: int
  neighbours: int
  density_neighbours: int


def least_images(
  metrics: Iterable[str], fake: bool, options: Options
) -> dict[str, int]:
  """Returns how many images each metric needs of the real or the fake set."""
  neighbours = max(options.neighbours, options.density_neighbours)
  least = {
    'fid': 2,
    'kid': options.kid_subset_size,
    'is': options.is_splits if fake else 0,
    'prdc': neighbours + 1,
    'sfid': 2,
    'fid_infinity': 4 if fake else 2,
  }
  return {metric: least[metric] for metric in metrics}


def compute(
  metric: str, real: Features, fake: Features, options: Options
) -> dict[str, Any]:
  """Returns the scores of a metric by name; the first one is its own.

  Args:
    metric: one of `METRICS`.
    real, fake: their features; the Inception Score uses the latter alone.
    options: see there.
  """
  return _METRICS[metric](real, fake, options)


def line(metric: str, found: dict[str, Any]) -> str:
  """Returns what to print of a metric whose scores are in `found`."""
  if metric == 'prdc':
    names = ('precision', 'recall', 'density', 'coverage')
    return ', '.join(f'{name} {found[name]:.6g}' for name in names)
  label, key = _LABELS[metric]
  text = f'{label} {found[key]:.8g}'
  if f'{key}_sigma' in found:
    text += f' ± {found[f"{key}_sigma"]:.3g}'
  if f'{key}_interval' in found:
    low, high = found[f'{key}_interval']
    text += f', interval {low:.6g} to {high:.6g}'
  return text


_LABELS = {
  'fid': ('FID', 'fid'),
  'kid': ('KID', 'kid'),
  'is': ('Inception Score', 'inception_score'),
  'sfid': ('sFID', 'sfid'),
  'fid_infinity': ('FID∞', 'fid_infinity'),
}


def _fid(real, fake, options: Options) -> dict[str, Any]:
  found = frechet.distance(real.moments(POOLED), fake.moments(POOLED))
  result = {'fid': found.value, 'fid_lost': found.lost}
  if options.interval:
    known = isinstance(real, Known)
    low, high = frechet.interval(
      real.moments(POOLED) if known else real.rows(POOLED),
      fake.rows(POOLED),
      resamples=options.resamples,
      level=options.interval,
      seed=options.seed,
    )
    result['fid_interval'] = [low, high]
  return result


def _kid(real, fake, options: Options) -> dict[str, Any]:
  mean, sigma = kernel.distance(
    real.rows(POOLED),
    fake.rows(POOLED),
    subsets=options.kid_subsets,
    size=options.kid_subset_size,
    seed=options.seed,
  )
  return {'kid': mean, 'kid_sigma': sigma}


def _inception_score(real, fake, options: Options) -> dict[str, Any]:
  del real
  mean, sigma = inception_score.score(
    fake.rows(LOGITS), splits=options.is_splits, seed=options.seed
  )
  return {'inception_score': mean, 'inception_score_sigma': sigma}


def _manifold(real, fake, options: Options) -> dict[str, Any]:
  found = manifold.scores(
    real.rows(POOLED),
    fake.rows(POOLED),
    neighbours=options.neighbours,
    density_neighbours=options.density_neighbours,
  )
  return {
    name: getattr(found, name)
    for name in ('precision', 'recall', 'density', 'coverage')
  }


def _sfid(real, fake, options: Options) -> dict[str, Any]:
  del options
  found = frechet.distance(real.moments(SPATIAL), fake.moments(SPATIAL))
  return {'sfid': found.value, 'sfid_lost': found.lost}


def _fid_infinity(real, fake, options: Options) -> dict[str, Any]:
  value = frechet.extrapolated(
    real.moments(POOLED), fake.rows(POOLED), seed=options.seed
  )
  return {'fid_infinity': value}


_METRICS = {
  'fid': _fid,
  'kid': _kid,
  'is': _inception_score,
  'prdc': _manifold,
  'sfid': _sfid,
  'fid_infinity': _fid_infinity,
}
