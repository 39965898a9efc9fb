"""What every format of exported networks has in common."""

import abc
import dataclasses
from typing import Any

import numpy as np

from inception_jax.errors import UserError
from inception_jax.export import artifact
from inception_jax.export import comparison
from inception_jax.export import outputs
from inception_jax.weights.convert import Weights

# Of float16, relative to the largest value: ten times what is measured.
FLOAT16_BOUND = 1e-2
# Of the calibration images, to compare on: a batch of all may exhaust memory.
_COMPARED = 8


@dataclasses.dataclass(frozen=True)
class Options:
  """How to export a network; a format supports those in its `Format.options`.

  Attributes:
    calibration: uint8 [n, S, S, C], images for the ranges of int8; None:
      `comparison.sample_images`.
    mindspore: a Python interpreter with mindspore.
    outputs: names of the outputs, see `outputs.names`.
    preprocess: whether the input is uint8 [B, S, S, C], normalized inside.
    precision: of weights and activations, 'float32' or 'float16'.
  """

  calibration: np.ndarray | None = None
  mindspore: str = ''
  outputs: tuple[str, ...] = (outputs.LOGITS,)
  preprocess: bool = False
  precision: str = 'float32'


DEFAULTS = Options()


class Format(abc.ABC):
  """How a network is saved, loaded and compared in a format.

  Attributes:
    ending: of file names; '' for a folder.
    bounded: the key of the difference that must not exceed `bound`.
    bound: the default allows for float32 sums in another order.
    options: flags of tools.export that apply to it.
    not_loaded: why files are not loaded here; '' if they are.
    next_step: what to do with the output at %s; '' if it is complete.
  """

  ending = ''
  bounded = 'relative_diff'
  bound = 1e-3
  options: frozenset[str] = frozenset(['image_size'])
  not_loaded = ''
  next_step = ''

  def cannot_save(self, mindspore: str) -> str:
    """Returns what prevents saving on this machine; '' if nothing does."""
    del mindspore
    return ''

  def without_unsupported(self, weights: Weights) -> Weights:
    """Returns `weights` without the parts that the format cannot hold."""
    return weights

  @abc.abstractmethod
  def save(
    self, weights: Weights, path: str, step: int, options: Options = DEFAULTS
  ) -> Any:
    """Writes a network and reads the file back.

    Args:
      weights: the network, `without_unsupported` parts.
      path: of the file or folder.
      step: of training, for the metadata.
      options: how to export it.

    Returns:
      The exported network as a function, see `Artifact.run`; of a weight
      file its `Weights`.
    """

  def load(self, path: str, trust: bool = False) -> artifact.Artifact:
    """Reads what `save` wrote; see `artifact.read`."""
    raise UserError(f'{path}: {self.not_loaded}')

  def compare(
    self, weights: Weights, read_back, options: Options = DEFAULTS
  ) -> dict[str, Any]:
    """Returns the differences between a network and what `save` returned."""
    images = options.calibration
    if images is not None:
      images = images[:: -(-len(images) // _COMPARED)]
    return comparison.compare(weights, read_back, images, options.outputs)
