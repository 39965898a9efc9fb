"""Converts another framework's named tensors to variables of this package.

The conversion is strict: each tensor of the network must have a variable of the
same shape and each variable a tensor, and an error lists every mismatch.
"""

import dataclasses
import logging
import re
from typing import Any

from flax import traverse_util
import numpy as np

from inception_jax import errors
from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.models import card as card_lib
from inception_jax.models.card import Card
from inception_jax.models.network_config import NetworkConfig
from inception_jax.weights import heads
from inception_jax.weights import layout
from inception_jax.weights.names import Names
from inception_jax.weights.sources import PYTORCH_FID
from inception_jax.weights.sources import TORCH
from inception_jax.weights.sources import Source
from inception_jax.weights.sources import Style

log = logging.getLogger(__name__)

# ImageNet's 1000 classes after a background class, which no dataset here has.
_CLASSES_WITH_BACKGROUND = 1001
# pt_inception-2015-12-05, of the graph classify_image_graph_def.pb.
_FID_CLASSES = 1008
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
    evaluation: 'top1', 'top5', 'count' and other scores of these weights, with
      'step', 'split', 'protocol' and 'image_size'; {} if none is recorded.
  """

  origin: str
  network: NetworkConfig
  card: Card
  variables: dict[str, Any]
  classes: tuple[str, ...] = ()
  evaluation: dict[str, Any] = dataclasses.field(default_factory=dict)


def to_weights(
  tensors: dict[str, np.ndarray], source: Source, prefix: str, path: str
) -> Weights:
  """Converts a file's tensors.

  `source` and `prefix` are from `match_source`; `path` is for messages. Without
  a classifier, see `heads.select`, the network has 0 classes.

  Raises:
    UserError: tensors are missing or unexpected, or have a wrong shape,
      non-finite values or negative variances; lists all of them.
  """
  style = source.style
  tensors = heads.select(_without_slots(tensors, style), source, prefix)
  _drop_background(tensors, source)
  num_classes = heads.num_classes(tensors, source)
  source = _by_outputs(source, num_classes, path)
  aux_head = _has_aux(tensors, source, num_classes)
  if not aux_head:
    tensors = {k: x for k, x in tensors.items() if not heads.is_aux(k, source)}
  network = source.network_config(num_classes, aux_head)
  model = architectures.create(network)
  mappings = layout.mappings(model, source)
  channels = _channels(tensors.get(mappings[0].name), style, path)
  card = card_lib.of_channels(source.card, channels)
  shapes = traverse_util.flatten_dict(
    architectures.init_shapes(model, card.image_shape)
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
    card,
    traverse_util.unflatten_dict(variables),
  )


def _by_outputs(source: Source, num_classes: int, path: str) -> Source:
  """Returns the network that has torchvision's names and that many outputs."""
  is_v3 = source.style is TORCH and source.network_name == 'inception_v3'
  if not (is_v3 and num_classes == _FID_CLASSES):
    return source
  source = dataclasses.replace(PYTORCH_FID, names=source.names)
  log.info(
    '%s has %d outputs: read as %s, the Inception of the Fréchet inception '
    'distance',
    path,
    num_classes,
    source.network_name,
  )
  return source


def _channels(kernel: np.ndarray | None, style: Style, path: str) -> int:
  """Returns the input channels of the first convolution's kernel, 1 or 3."""
  if kernel is None or kernel.ndim != 4:
    return 3  # it is missing or misshapen
  channels = kernel.shape[1 if style.oihw else 2]
  if channels not in (1, 3):
    raise UserError(
      f'{path} reads images of {channels} channels, here they have 1 or 3: '
      'save it with a first kernel of their channels alone'
    )
  return channels


def _without_slots(tensors, style: Style) -> dict[str, np.ndarray]:
  """Drops counters and optimizer state; prefers moving averages; logs both."""
  averages = {
    name.removesuffix(_MOVING_AVERAGE): array
    for name, array in tensors.items()
    if name.endswith(_MOVING_AVERAGE)
  }
  slot = style.slots and re.compile(f'^{style.slots}|{style.slots}$')
  used, dropped = {}, []
  for name, array in tensors.items():
    # A bias may be that of a single output.
    is_counter = array.size == 1 and (
      array.ndim == 0 or (array.ndim == 1 and not name.endswith(style.bias))
    )
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


def _has_aux(tensors, source: Source, num_classes: int) -> bool:
  """Returns whether there is an auxiliary head for these classes."""
  if not any(heads.is_aux(name, source) for name in tensors):
    return False
  aux_classes = heads.num_classes(tensors, source, source.names.aux[-1])
  if not num_classes or aux_classes != num_classes:
    log.info('ignored the auxiliary head: it is of %d classes', aux_classes)
  return bool(num_classes) and aux_classes == num_classes


def _mismatch(path: str, source: Source, faults: list[str]) -> UserError:
  return UserError(
    f'{path} looks like {source.network_name} of {source.framework}, but:',
    *(f'  {fault}' for fault in errors.shorten(faults)),
  )
