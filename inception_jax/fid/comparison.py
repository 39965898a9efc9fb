"""The features of two sets of images, ready to be compared."""

from collections.abc import Sequence
import dataclasses
import logging
from typing import Any

import jax

from inception_jax.errors import UserError
from inception_jax.fid import collected as collected_lib
from inception_jax.fid import extraction
from inception_jax.fid import networks
from inception_jax.fid import scores
from inception_jax.fid import sets as sets_lib
from inception_jax.fid import stats_file

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Comparison:
  """The features of the real and the fake set, or of a single one.

  Attributes:
    features: of each set.
    images: how many are in it; 0 where a file of statistics does not say.
    failed: why images cannot be decoded, by name; they are left out.
    images_per_second: of the slower set, without its first batch, which may
      compile; 0 if there is none.
    saved: the file of statistics that was written, or ''.
  """

  features: list[collected_lib.Features]
  images: list[int]
  failed: dict[str, str]
  images_per_second: float
  saved: str

  def score(self, metric: str, options: scores.Options) -> dict[str, Any]:
    """Returns what `scores.compute` does of the sets."""
    real, fake = self.features[0], self.features[-1]
    log.info('computing %s, some seconds', metric)
    return scores.compute(metric, real, fake, options)


def extract(
  network: networks.Network,
  mesh: jax.sharding.Mesh,
  batch_size: int,
  sets: Sequence[sets_lib.Set],
  metrics: Sequence[str],
  interval: bool = False,
  save_stats: str = '',
) -> Comparison:
  """Computes the features of each set, as far as the metrics need them.

  Args:
    network: that computes them.
    mesh: the devices.
    batch_size: images of each device.
    sets: see `sets.load`.
    metrics: of `collected.METRICS`.
    interval: whether an interval of the FID is wanted.
    save_stats: the .npz to write of the first set, unless images of it cannot
      be decoded; '': none.

  Raises:
    UserError: a file has statistics of another network or mode, a set has no
      image that can be decoded, or `save_stats` exists by now.
  """
  # A file of another network is told before anything is computed.
  features = [
    collected_lib.Known(_read(own.word, network))
    if own.split is None
    else collected_lib.collector(
      metrics, own.fake, interval, bool(save_stats) and own is sets[0]
    )
    for own in sets
  ]
  names = sorted({name for own in features for name in own.sinks})
  extractor = extraction.Extraction(network, tuple(names), mesh, batch_size)
  images, failed, speeds, saved = [], {}, [], ''
  for own, collected in zip(sets, features, strict=True):
    if own.split is None:
      images.append(collected.moments(networks.POOLED).count)
    elif not collected.sinks:  # the real set of an Inception Score
      images.append(own.split.size)
    else:
      found = extractor.run(own.split, collected.sinks, own.word)
      sets_lib.warn(own.word, found, network.mode)
      images.append(found.count)
      failed |= found.failed
      speeds.append(found.images_per_second)
      if save_stats and own is sets[0]:
        saved = _save(save_stats, collected, network, found)
    if {'fid', 'fid_infinity'} & set(metrics):
      sets_lib.warn_of_few(own.word, images[-1], network.dimension)
  return Comparison(features, images, failed, min(speeds, default=0.0), saved)


def _read(path: str, network: networks.Network):
  """Returns the moments in a file of the same network and mode."""
  known = stats_file.read(path, network.digest)
  if (size := len(known.mean)) != network.dimension:
    raise UserError(
      f'{path} has statistics of {size} features, the network has '
      f'{network.dimension}'
    )
  return known


def _save(path: str, collected, network, found: extraction.Extracted) -> str:
  """Writes statistics; returns the path, or '' if images are missing."""
  if found.failed:
    log.warning(
      '%s was not written, since %d images cannot be decoded',
      *(path, len(found.failed)),
    )
    return ''
  moments = collected.moments(networks.POOLED)
  stats_file.write(path, moments, network.digest)
  return path
