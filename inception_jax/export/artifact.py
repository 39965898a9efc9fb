"""Networks as files that other programs run, and what they say themselves."""

from collections.abc import Callable
import dataclasses
import os
from typing import Any

import numpy as np

from inception_jax.errors import UserError
from inception_jax.export import comparison
from inception_jax.export import litert_file
from inception_jax.export import metadata
from inception_jax.export import mindir
from inception_jax.export import onnx_file
from inception_jax.export import saved_model
from inception_jax.export import stablehlo_file
from inception_jax.models import factory
from inception_jax.models import fold
from inception_jax.models.card import Card
from inception_jax.weights.convert import Weights


@dataclasses.dataclass(frozen=True)
class Artifact:
  """A network that runs without this framework.

  Attributes:
    origin: its path.
    model: arguments of `models.create` that it was made with.
    card: how images must be prepared: `(image − card.mean) / card.std`.
    classes: names of the outputs, as far as they are known.
    classify: float32 [B, S, S, C] → float32 logits [B, N].
  """

  origin: str
  model: dict[str, Any]
  card: Card
  classes: tuple[str, ...]
  classify: Callable[[np.ndarray], np.ndarray]

  @property
  def num_classes(self) -> int:
    """Outputs."""
    return self.model['num_classes']


@dataclasses.dataclass(frozen=True)
class _Format:
  """How an artifact is written and read.

  Attributes:
    ending: of its files' names; '' is a folder.
    save: (path, function of variables and images, variables, card, what it
      is to say of itself).
    load: path → (classify, what it says of itself).
    calibrated: whether `save` takes images to find its ranges by, too.
    standard: whether its readers know but the usual operations, with no
      choice of them by platform, or are none the faster by it (TensorFlow).
    bound: how far off it may be, as a share of the largest logit.
  """

  ending: str
  save: Callable
  load: Callable
  calibrated: bool = False
  standard: bool = True
  bound: float = 1e-3  # float32 in another order of sums


_LITERT = _Format('.tflite', litert_file.save, litert_file.load)

_FORMATS = {
  'onnx': _Format('.onnx', onnx_file.save, onnx_file.load),
  'stablehlo': _Format(
    '.stablehlo', stablehlo_file.save, stablehlo_file.load, standard=False
  ),
  'savedmodel': _Format('', saved_model.save, saved_model.load),
  'litert': _LITERT,
  'litert_int8': dataclasses.replace(_LITERT, calibrated=True, bound=0.1),
}

FORMATS = tuple(_FORMATS)

ENDINGS = {name: file_format.ending for name, file_format in _FORMATS.items()}

BOUNDS = {name: file_format.bound for name, file_format in _FORMATS.items()}


def save(
  weights: Weights,
  path: str,
  file_format: str,
  step: int,
  images: np.ndarray | None = None,
) -> None:
  """Writes a network, BatchNorm folded, with all that is known of it.

  Args:
    weights: of the network.
    path: of the file or, for a SavedModel, folder.
    file_format: one of `FORMATS`.
    step: that the weights are of.
    images: uint8 [n, S, S, C], as the network will see them: int8 finds its
      ranges by them. None is those of `compare.images`.
  """
  model = factory.create(**weights.model, card=weights.card)
  how = _FORMATS[file_format]
  model, variables = fold.fold(
    model, weights.variables, how.standard, how.calibrated
  )
  says = metadata.describe(weights, variables, step)
  apply = lambda variables, images: model.apply(variables, images)[0]
  more = {}
  if how.calibrated:
    more['calibration'] = comparison.normalised(weights.card, images)
  how.save(path, apply, variables, weights.card, says, **more)


def load(path: str) -> Artifact:
  """Reads an artifact that `save` wrote.

  Raises:
    UserError: there is none, or it is damaged or of another program.
  """
  path = os.path.expanduser(path)
  if not os.path.exists(path):
    raise UserError(f'{path}: no such artifact')
  if path.endswith(mindir.ENDING):
    raise UserError(
      f'{path}: a MINDIR is run by mindspore (ms.load, nn.GraphCell), not here'
    )
  is_folder = os.path.exists(os.path.join(path, 'saved_model.pb'))
  fitting = [
    file_format
    for file_format in _FORMATS.values()
    if (path.endswith(file_format.ending) if file_format.ending else is_folder)
  ]
  if not fitting:
    endings = dict.fromkeys(filter(None, ENDINGS.values()))
    known = ', '.join(f'*{ending}' for ending in endings)
    raise UserError(f'{path}: expected {known} or the folder of a SavedModel')
  try:
    classify, says = fitting[0].load(path)
  except UserError:
    raise
  except Exception as error:  # each library has a dozen of its own
    reason = ' '.join(str(error).split())[:200] or type(error).__name__
    raise UserError(f'{path} cannot be read: {reason}') from error
  model, card, classes = metadata.parse(says, path)
  return Artifact(path, model, card, classes, classify)


def size_of(path: str) -> int:
  """Bytes of a file, or of all files in a folder."""
  if not os.path.isdir(path):
    return os.path.getsize(path)
  return sum(
    os.path.getsize(os.path.join(folder, name))
    for folder, _, names in os.walk(path)
    for name in names
  )
