"""Exact evaluation of a classifier on stored features of its network."""

from collections.abc import Iterator

import jax
import numpy as np

from inception_jax.distributed import sharding
from inception_jax.evaluation.evaluator import Evaluator


class FeatureEvaluator(Evaluator):
  """Evaluates as `Evaluator` does, on pooled features in place of images.

  The features must be those that the variables' network has of the images.
  """

  def __init__(
    self, config, model, split, mesh: jax.sharding.Mesh, rows: np.ndarray
  ):
    """Prepares the evaluation.

    Args:
      config: resolved, with a single view.
      model: the network.
      split: the images.
      mesh: the devices.
      rows: a `feature_store.row_type` for each image.
    """
    super().__init__([(config, model)], split, mesh)
    self._rows = rows

  def _batches(self, batch_size: int) -> Iterator[dict[str, dict]]:
    (key,), size = self._inputs, len(self._rows)
    own = sharding.host_rows(batch_size)
    for start in range(0, size, batch_size):
      positions = np.arange(start + own.start, start + own.stop)
      rows = self._rows[np.minimum(positions, size - 1)]
      batch = {
        'image': np.ascontiguousarray(rows['features']),
        'label': rows['label'],
        'mask': rows['mask'] * (positions < size),
      }
      yield {key: batch}

  def _num_bad(self) -> int:
    return int(np.sum(self._rows['mask'] == 0))
