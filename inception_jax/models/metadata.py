"""A network's metadata as JSON: in checkpoints, artifacts and weight files.

Versions read each other's metadata, so the layout is that of the first one:
BatchNorm's ε and the padding of average pools are stored in the card, with a
class offset that is always 0.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

from inception_jax.config import validation
from inception_jax.data import choices
from inception_jax.errors import UserError
from inception_jax.models.architectures import ARCHITECTURES
from inception_jax.models.card import Card
from inception_jax.models.network_config import NetworkConfig

_STORED_IN_CARD = ('count_include_pad', 'bn_epsilon')
_CLASS_OFFSET = 'class_offset'
_TYPES = {
  'model': {
    field.name: field.type
    for field in dataclasses.fields(NetworkConfig)
    if field.name not in _STORED_IN_CARD
  },
  'card': {
    **{field.name: type(field.default) for field in dataclasses.fields(Card)},
    'count_include_pad': bool,
    'bn_epsilon': float,
    _CLASS_OFFSET: int,
  },
}
# Keys of the card that the first versions did not know.
_ADDED = ('exif', 'background')
MAX_OUTPUTS = 1_000_000
MAX_SIDE = 8192  # pixels
_RANGES = {
  'model.name': validation.one_of(ARCHITECTURES),
  'model.width': validation.POSITIVE,
  # What follows from these takes memory, as names of outputs and images do.
  'card.input_size': (lambda v: 1 <= v <= MAX_SIDE, f'1 to {MAX_SIDE:,}'),
  'card.mean': (
    lambda v: len(v) in (1, 3) and max(map(abs, v)) < 2**31,
    '1 or 3 numbers',
  ),
  'card.std': (
    lambda v: len(v) in (1, 3) and 0 < min(v) <= max(v) < 2**31,
    '1 or 3 numbers above 0',
  ),
  'card.crop_mode': validation.one_of(choices.CROP_MODES),
  'card.crop_fraction': (lambda v: 0 < v <= 1, 'above 0, at most 1'),
  'card.interpolation': validation.one_of(choices.INTERPOLATIONS),
  'card.exif': validation.one_of(choices.EXIF_MODES),
  'card.background': choices.BACKGROUND,
  'card.bn_epsilon': validation.POSITIVE,
  f'card.{_CLASS_OFFSET}': (lambda v: v == 0, '0'),
}


def to_dict(
  network: NetworkConfig, card: Card, classes: Sequence[str]
) -> dict[str, Any]:
  """Returns {'model', 'card', 'classes'}, to be written as JSON."""
  model = dataclasses.asdict(network)
  moved = {key: model.pop(key) for key in _STORED_IN_CARD}
  values = dataclasses.asdict(card)
  for key in _ADDED:
    if values[key] == getattr(Card, key):
      del values[key]
  return {
    'model': model,
    'card': {**values, **moved, _CLASS_OFFSET: 0},
    'classes': list(classes),
  }


def from_dict(
  values: Any, origin: Any, *, headless: bool = False
) -> tuple[NetworkConfig, Card, tuple[str, ...]]:
  """Parses what `to_dict` returned, from JSON that may hold anything.

  Args:
    values: the JSON.
    origin: the file, for the message.
    headless: whether the network may have no classifier, as imported weights.

  Returns:
    The network, its card, and the names of its classes, () if unknown.

  Raises:
    UserError: it describes no network of this project.
  """
  try:
    model = dict(values['model'])
    card = {key: getattr(Card, key) for key in _ADDED} | dict(values['card'])
    card |= {key: tuple(card[key]) for key in ('mean', 'std')}
    # The first checkpoints have no classes.
    classes = values.get('classes', [])
    faults = _faults({'model': model, 'card': card}, classes, headless)
  except (AttributeError, KeyError, TypeError, ValueError):
    raise UserError(f'{origin} does not describe a network') from None
  if faults:
    raise UserError(f'{origin} describes no network of this project:', *faults)
  del card[_CLASS_OFFSET]
  model |= {key: card.pop(key) for key in _STORED_IN_CARD}
  card |= {key: tuple(map(float, card[key])) for key in ('mean', 'std')}
  return NetworkConfig(**model), Card(**card), tuple(classes)


def _faults(
  sections: dict[str, dict], classes: Any, headless: bool
) -> list[str]:
  """Returns a line for each key that is missing, unknown or invalid."""
  faults = []
  for section, types in _TYPES.items():
    values = sections[section]
    faults += [f'{section}.{k}: missing' for k in types if k not in values]
    faults += [f'{section}.{k}: unknown' for k in values if k not in types]
    faults += [
      f'{section}.{key}={values[key]!r}: expected {kind.__name__}'
      for key, kind in types.items()
      if key in values and type(values[key]) is not kind
    ]
  least = 0 if headless else 1
  outputs = {
    'model.num_classes': (
      lambda v: least <= v <= MAX_OUTPUTS,
      f'{least} to {MAX_OUTPUTS:,}',
    )
  }
  if faults := faults or validation.out_of_range(sections, outputs | _RANGES):
    return faults
  model, card = sections['model'], sections['card']
  if model['stem'] not in ARCHITECTURES[model['name']].stems:
    faults.append(
      f'model.stem={model["stem"]!r}: {model["name"]} has no such stem'
    )
  # That of the images from which the center is cut.
  shorter = card['input_size'] / card['crop_fraction']
  modes = ('short_side', 'mindspore_short_side')
  if card['crop_mode'] in modes and shorter > MAX_SIDE:
    faults.append(
      f'card.crop_fraction={card["crop_fraction"]}: images are resized to '
      f'{shorter:,.0f} pixels, expected at most {MAX_SIDE:,}'
    )
  if len(card['mean']) != len(card['std']):
    faults.append('card.mean, card.std: expected the same number of channels')
  if not isinstance(classes, list | tuple) or {*map(type, classes)} - {str}:
    faults.append('classes: expected a list of names')
  elif len(classes) > model['num_classes']:
    faults.append(f'{len(classes)} classes, {model["num_classes"]} outputs')
  return faults
