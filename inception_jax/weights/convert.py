"""Between another framework's named tensors and our variables.

Both ways strict: every tensor has its parameter and every parameter its
tensor, shapes are equal, and what is wrong is said of all of them at once.
"""

import dataclasses
import logging
import re
from typing import Any

from flax import traverse_util
import jax
import numpy as np

from inception_jax import errors
from inception_jax.errors import UserError
from inception_jax.models import factory
from inception_jax.models.card import Card
from inception_jax.weights import layout
from inception_jax.weights.sources import Source
from inception_jax.weights.sources import Style

log = logging.getLogger(__name__)

# ImageNet's 1000, and a background that is no class of any dataset.
_WITH_BACKGROUND = 1001

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

_AVERAGED = '/ExponentialMovingAverage'


@dataclasses.dataclass(frozen=True)
class Weights:
  """A trained network out of a file.

  Attributes:
    origin: whose it is, for people.
    model: arguments of `models.create`.
    card: how images must be prepared for it.
    variables: {'params', 'batch_stats'}, float32 arrays.
    classes: names of the outputs, as far as they are known.
  """

  origin: str
  model: dict[str, Any]
  card: Card
  variables: dict[str, Any]
  classes: tuple[str, ...] = ()


def create(source: Source, num_classes: int, aux_head: bool):
  """All arguments of `models.describe`, and the network they make."""
  arguments = {
    'name': source.network,
    'num_classes': num_classes,
    'stem': next(iter(factory.ARCHITECTURES[source.network].stems)),
    'width': 1.0,
    'aux_head': aux_head,
    'aux_batch_norm': True,
    'head_batch_norm': False,
    **source.model,
  }
  return arguments, factory.create(**arguments, card=source.card)


def recognise(tensors, sources) -> tuple[Source, str] | None:
  """The source whose names these are most, and the prefix they all have."""
  names = set(tensors)
  best, best_score = None, (0.5, 0)  # below half, it is something else
  for source in sources:
    _, model = create(source, 2, aux_head=False)
    wanted = [leaf.name for leaf in layout.leaves(model, source)]
    for prefix in _PREFIXES:
      found = sum(prefix + name in names for name in wanted)
      # All of Keras's names of a small network are names of a larger one.
      score = found / len(wanted), found
      if score > best_score:
        best, best_score = (source, prefix), score
  return best


def from_source(
  tensors: dict[str, np.ndarray], source: Source, prefix: str, where: str
) -> Weights:
  """Converts a file's tensors.

  Args:
    tensors: by name, as they were in the file.
    source: what `recognise` found it to be.
    prefix: that every name has.
    where: the file, for messages.

  Raises:
    UserError: tensors too many or too few, of other shapes, or not numbers.
  """
  style = source.style
  tensors = {
    name.removeprefix(prefix): array
    for name, array in _of_the_network(tensors, style).items()
  }
  aux_head = bool(source.names.aux) and any(
    name.startswith(style.own(source.names.aux[-1])) for name in tensors
  )
  offset = _drop_background(tensors, source)
  arguments, model = create(
    source, _num_classes(tensors, source, where), aux_head
  )
  leaves = layout.leaves(model, source)
  channels = tensors.get(leaves[0].name, np.zeros((1, 3, 1, 1)))
  channels = channels.shape[1 if style.oihw else 2] if channels.ndim == 4 else 3
  shapes = traverse_util.flatten_dict(_shapes(model, source.card, channels))

  faults, variables = [], {}
  for leaf in leaves:
    if leaf.name not in tensors:
      faults.append(f'{leaf.name}: missing')
      continue
    array = layout.ours(tensors.pop(leaf.name), leaf.kind, style)
    expected = shapes[leaf.path].shape
    if array.shape != expected:
      faults.append(f'{leaf.name}: {array.shape} as ours, {expected} expected')
    elif not np.isfinite(array).all():
      faults.append(f'{leaf.name}: has values that are not finite')
    elif leaf.path[-1] == 'var' and array.min() < 0:
      faults.append(f'{leaf.name}: has variances below 0')
    variables[leaf.path] = array
  faults += [f'{name}: no part of this network' for name in sorted(tensors)]
  if faults:
    raise _mismatch(where, source, faults)
  if not style.scale:  # γ is 1 where a framework does without
    for path, shape in shapes.items():
      variables.setdefault(path, np.ones(shape.shape, np.float32))
  if offset:
    log.info('dropped class 0 of 1001, the background')
  return Weights(
    f'{source.framework} {source.network}',
    arguments,
    dataclasses.replace(source.card, class_offset=0),
    traverse_util.unflatten_dict(variables),
  )


def _of_the_network(tensors, style: Style) -> dict[str, np.ndarray]:
  """Leaves out counters and what belongs to an optimizer; says so."""
  averaged = {
    name.removesuffix(_AVERAGED): array
    for name, array in tensors.items()
    if name.endswith(_AVERAGED)
  }
  kept, aside = {}, []
  for name, array in tensors.items():
    slot = style.slots and re.search(f'(^{style.slots}|{style.slots}$)', name)
    if (array.size == 1 and array.ndim < 2) or slot or name.endswith(_AVERAGED):
      aside.append(name)
    else:
      kept[name] = averaged.get(name, array)
  if averaged:
    log.info('took the moving averages of %d tensors', len(averaged))
  if aside:
    log.info(
      'left out %d counters and tensors of an optimizer, such as %s',
      len(aside),
      aside[0],
    )
  return kept


def _classifiers(names) -> tuple[str, ...]:
  """The units as wide as there are classes, the main dense layer first."""
  return (names.head[1:] or names.head) + names.aux[-1:]


def _drop_background(tensors, source: Source) -> int:
  """Cuts class 0 off heads of 1001; returns how many classes went."""
  offset = 0
  for unit in _classifiers(source.names):
    own = source.style.own(unit)
    for name in [name for name in tensors if name.startswith(own)]:
      array = tensors[name]
      axis = 0 if source.style.oihw else array.ndim - 1
      if array.shape[axis] == _WITH_BACKGROUND:
        tensors[name] = np.delete(array, 0, axis)
        offset = 1
  return offset


def _num_classes(tensors, source: Source, where: str) -> int:
  dense = _classifiers(source.names)[0]
  name = source.style.own(dense) + source.style.bias
  if name not in tensors:
    raise _mismatch(
      where,
      source,
      [f'{name}: missing; a file without a classifier cannot be imported'],
    )
  return tensors[name].size


def _shapes(model, card: Card, channels: int):
  images = jax.ShapeDtypeStruct(
    (1, card.input_size, card.input_size, channels), np.float32
  )
  return jax.eval_shape(model.init, jax.random.key(0), images)


def _mismatch(where: str, source: Source, faults: list[str]) -> UserError:
  return UserError(
    f'{where} looks like {source.network} of {source.framework}, but:',
    *(f'  {fault}' for fault in errors.shorten(faults)),
  )
