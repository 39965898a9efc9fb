"""Features of every image of a split, as rows on the host."""

from collections.abc import Callable
import dataclasses
from typing import Any

import jax
import numpy as np

from inception_jax.data import order
from inception_jax.data import pipeline
from inception_jax.data import splits
from inception_jax.data.bad_images import BadImages
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.evaluation import members
from inception_jax.fid import networks
from inception_jax.runtime import progress_bar


@dataclasses.dataclass(frozen=True)
class Extracted:
  """What is known of the images whose features were computed.

  Attributes:
    count: of the images that have features.
    failed: why the others cannot be decoded, by name.
    sizes: int32 [K, 2], the different heights and widths; [0, 2] if they do not
      matter, with a network's own preprocessing.
    images_per_second: without the first batch, which may compile.
  """

  count: int
  failed: dict[str, str]
  sizes: np.ndarray
  images_per_second: float


class Extraction:
  """Computes features; compiled once for several splits.

  Each device has `batch_size` images whatever their number is: the rounding of
  sums in a convolution depends on the shape of a device's part, and so do the
  last digits of a distance.
  """

  def __init__(
    self,
    network: networks.Network,
    names: tuple[str, ...],
    mesh: jax.sharding.Mesh,
    batch_size: int,
  ):
    """Prepares the features `names`, of `networks`."""
    self._network, self._names, self._mesh = network, names, mesh
    self._size = batch_size * mesh.size
    self._forward = members.jit_of_rows(
      network.config, network.forward(names), mesh
    )
    self._variables = sharding.replicate(mesh, network.variables)

  def run(
    self,
    split: splits.Split,
    sinks: dict[str, Callable[[np.ndarray], Any]],
    name: str,
  ) -> Extracted:
    """Computes the features of every image once, in order.

    Args:
      split: the images.
      sinks: for each feature, what takes the rows of a batch: float32 [n, D].
      name: of the split, for the log.

    Raises:
      UserError: there are no images, or none can be decoded.
    """
    if not split.size:
      raise UserError(f'{name} has no images')
    config = self._network.config.copy_and_resolve_references()
    config.data.source = name  # in messages
    data, size = config.data, self._size
    bad = BadImages(split, data)
    batches = pipeline.eval_batches(
      *(split, data, size, range(size), bad), prepare=self._network.prepare
    )
    total = order.num_eval_batches(split, size)
    sizes, count, clock, ahead = set(), 0, progress_bar.Clock(), None
    for batch in progress_bar.track(batches, total, name, 'batches'):
      decoded = batch.pop('mask') > 0
      batch.pop('label')
      seen = batch.pop('size', np.zeros((size, 0), np.int32))[decoded]
      sizes |= set(map(tuple, seen.tolist()))
      images = sharding.to_global(self._mesh, batch)
      outputs = self._forward(self._variables, images['image']), decoded
      if ahead:
        _take(sinks, *ahead)
      else:  # else the others' time would be that of the first one, too
        jax.block_until_ready(outputs)
      ahead = outputs
      count += int(decoded.sum())
      clock.count(int(decoded.sum()))
    _take(sinks, *ahead)
    if count != split.size - len(bad.substitutes):
      raise RuntimeError(f'{count} of {split.size} images have features')
    known = np.array(sorted(sizes - {()}), np.int32).reshape(-1, 2)
    return Extracted(count, bad.reasons, known, clock.per_second(count))


def _take(sinks, outputs, decoded: np.ndarray) -> None:
  """Fetches a batch, and passes on the rows of images that are no padding."""
  for name, sink in sinks.items():
    sink(np.asarray(outputs[name])[decoded])
