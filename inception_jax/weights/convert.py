"""Converts another framework's named tensors to variables of this package.

The conversion is strict: each tensor must have a variable of the same shape and
each variable a tensor, and an error lists every mismatch.
"""

from collections.abc import Iterable
import dataclasses
import logging
import re
from typing import Any

from flax import traverse_util
import numpy as np

from inception_jax import errors
from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.models.card import Card
from inception_jax.models.network_config import NetworkConfig
from inception_jax.weights import layout
from inception_jax.weights.names import Names
from inception_jax.weights.sources import Source
from inception_jax.weights.sources import Style

log = logging.getLogger(__name__)

# ImageNet's 1000 classes after a background class, which no dataset here has.
_CLASSES_WITH_BACKGROUND = 1001
_PREFIXES = (
  '',
  'module.',  # torch's DataParallel and DistributedDataParallel
  'model.',
  '_orig_mod.',  # torch.compile
  'network.',  # MindSpore's training cells
  'network._backbone.',
  '_backbone.',
  'backbone.',
)
_MOVING_AVERAGE = '/ExponentialMovingAverage'  # suffix of TensorFlow's


@dataclasses.dataclass(frozen=True)
class Weights:
  """Trained weights and their metadata.

  Attributes:
    origin: where they are from, for messages.
    network: the network that they belong to.
    card: how its images are prepared.
    variables: {'params', 'batch_stats'}, float32 arrays.
    classes: names of the outputs; () if unknown.
  """

  origin: str
  network: NetworkConfig
  card: Card
  variables: dict[str, Any]
  classes: tuple[str, ...] = ()


def match_source(
  tensors: dict[str, np.ndarray], sources: Iterable[Source]
) -> tuple[Source, str] | None:
  """Finds the network whose tensor names match best.

  Of `sources`, the first wins a tie. Returns the network and the prefix of its
  names in this file; None if no network has more than half of its names there.
  """
  best, best_score = None, (0.5, 0)
  for source in sources:
    model = architectures.create(source.network_config(2, aux_head=False))
    expected = [mapping.name for mapping in layout.mappings(model, source)]
    for prefix in _PREFIXES:
      count = sum(prefix + name in tensors for name in expected)
      # The count breaks ties: in Keras, the names of a small network are a
      # subset of a larger one's.
      score = count / len(expected), count
      if score > best_score:
        best, best_score = (source, prefix), score
  return best


def to_weights(
  tensors: dict[str, np.ndarray], source: Source, prefix: str, path: str
) -> Weights:
  """Converts a file's tensors.

  `source` and `prefix` are from `match_source`; `path` is for messages.

  Raises:
    UserError: tensors are missing or unexpected, or have a wrong shape,
      non-finite values or negative variances; lists all of them.
  """
  style = source.style
  tensors = {
    name.removeprefix(prefix): array
    for name, array in _network_tensors(tensors, style).items()
  }
  aux_head = bool(source.names.aux) and any(
    name.startswith(style.layer_prefix(source.names.aux[-1]))
    for name in tensors
  )
  _drop_background(tensors, source)
  num_classes = _num_classes(tensors, source, path)
  network = source.network_config(num_classes, aux_head)
  model = architectures.create(network)
  mappings = layout.mappings(model, source)
  kernel = tensors.get(mappings[0].name)
  channels = 3
  if kernel is not None and kernel.ndim == 4:
    channels = kernel.shape[1 if style.oihw else 2]
  size = source.card.input_size
  shapes = traverse_util.flatten_dict(
    architectures.init_shapes(model, (size, size, channels))
  )

  faults, variables = [], {}
  for mapping in mappings:
    name = mapping.name
    if name not in tensors:
      faults.append(f'{name}: missing')
      continue
    array = layout.to_flax(tensors.pop(name), mapping.kind, style)
    expected = shapes[mapping.path].shape
    if array.shape != expected:
      faults.append(
        f"{name}: shape {array.shape} in flax's layout, expected {expected}"
      )
    elif not np.isfinite(array).all():
      faults.append(f'{name}: has non-finite values')
    elif mapping.path[-1] == 'var' and array.min() < 0:
      faults.append(f'{name}: has negative variances')
    variables[mapping.path] = array
  faults += [f'{name}: not part of this network' for name in sorted(tensors)]
  if faults:
    raise _mismatch(path, source, faults)
  if not style.scale:  # γ is 1 in a framework that has none
    for variable, shape in shapes.items():
      variables.setdefault(variable, np.ones(shape.shape, np.float32))
  return Weights(
    f'{source.framework} {source.network_name}',
    network,
    source.card,
    traverse_util.unflatten_dict(variables),
  )


def _network_tensors(tensors, style: Style) -> dict[str, np.ndarray]:
  """Drops counters and optimizer state; prefers moving averages; logs both."""
  averages = {
    name.removesuffix(_MOVING_AVERAGE): array
    for name, array in tensors.items()
    if name.endswith(_MOVING_AVERAGE)
  }
  slot = style.slots and re.compile(f'^{style.slots}|{style.slots}$')
  used, dropped = {}, []
  for name, array in tensors.items():
    is_counter = array.size == 1 and array.ndim < 2
    is_slot = slot and slot.search(name)
    if is_counter or is_slot or name.endswith(_MOVING_AVERAGE):
      dropped.append(name)
    else:
      used[name] = averages.get(name, array)
  if averages:
    log.info('using the moving averages of %d tensors', len(averages))
  if dropped:
    log.info(
      'ignored %d counters, optimizer slots and moving averages, such as %s',
      len(dropped),
      dropped[0],
    )
  return used


def _classifiers(names: Names) -> tuple[str, ...]:
  """Returns the units with an output per class, the main dense layer first."""
  return (names.head[1:] or names.head) + names.aux[-1:]


def _drop_background(tensors, source: Source) -> None:
  """Removes class 0 from classifiers with 1001 outputs, in place."""
  dropped = False
  for unit in _classifiers(source.names):
    prefix = source.style.layer_prefix(unit)
    for name in [name for name in tensors if name.startswith(prefix)]:
      array = tensors[name]
      axis = 0 if source.style.oihw else array.ndim - 1
      if array.shape[axis] == _CLASSES_WITH_BACKGROUND:
        tensors[name] = np.delete(array, 0, axis)
        dropped = True
  if dropped:
    log.info('dropped class 0 of 1001, the background')


def _num_classes(tensors, source: Source, path: str) -> int:
  dense = _classifiers(source.names)[0]
  name = source.style.layer_prefix(dense) + source.style.bias
  if name not in tensors:
    fault = f'{name}: missing; a file without a classifier cannot be imported'
    raise _mismatch(path, source, [fault])
  return tensors[name].size


def _mismatch(path: str, source: Source, faults: list[str]) -> UserError:
  return UserError(
    f'{path} looks like {source.network_name} of {source.framework}, but:',
    *(f'  {fault}' for fault in errors.shorten(faults)),
  )
