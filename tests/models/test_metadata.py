import json

import pytest

from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.models import metadata
from inception_jax.models.card import Card

# Stored in checkpoints, artifacts and weight files: must never change.
STORED = (
  '{"model": {"name": "cifar_inception_v3", "num_classes": 3, "stem": "small", '
  '"width": 0.5, "aux_head": false, "aux_batch_norm": true, '
  '"head_batch_norm": false}, "card": {"input_size": 32, '
  '"mean": [125.0, 123.0, 114.5], "std": [63.0, 62.0, 66.5], '
  '"crop_mode": "central", "crop_fraction": 1.0, "interpolation": "bilinear", '
  '"count_include_pad": true, "bn_epsilon": 1e-05, "class_offset": 0}, '
  '"classes": ["cat", "dog"]}'
)
NETWORK = architectures.published('cifar_inception_v3', 3, width=0.5)
CARD = Card(32, (125.0, 123.0, 114.5), (63.0, 62.0, 66.5), crop_fraction=1.0)


def parse(values):
  return metadata.from_dict(values, 'x.json')


def changed(path, value):
  """Returns the stored metadata with one value changed."""
  values = json.loads(STORED)
  *sections, key = path.split('.')
  section = values
  for name in sections:
    section = section[name]
  section[key] = value
  return values


def test_stored_json_is_exact():
  values = metadata.to_dict(NETWORK, CARD, ('cat', 'dog'))
  assert json.dumps(values) == STORED


def test_round_trip():
  assert parse(json.loads(STORED)) == (NETWORK, CARD, ('cat', 'dog'))
  for name in architectures.ARCHITECTURES:
    network = architectures.published(name, 10)
    card = architectures.ARCHITECTURES[name].card
    text = json.dumps(metadata.to_dict(network, card, ()))
    assert parse(json.loads(text)) == (network, card, ())


def test_first_checkpoints_have_no_classes():
  values = json.loads(STORED)
  del values['classes']
  assert parse(values) == (NETWORK, CARD, ())


def test_integers_in_mean_and_std_are_accepted():
  _, card, _ = parse(changed('card.mean', [125, 123, 114.5]))
  assert card == CARD and all(type(x) is float for x in card.mean)


@pytest.mark.parametrize(
  'values', [None, 1, 'model', [], {}, {'model': {}}, {'model': 1, 'card': 2}]
)
def test_other_json_is_rejected(values):
  with pytest.raises(UserError, match=r'^x\.json does not describe a network$'):
    parse(values)


@pytest.mark.parametrize(
  ('path', 'value'),
  [
    ('model', None),
    ('model.name', 'inception_v9'),
    ('model.name', ['inception_v3']),
    ('model.num_classes', 0),
    ('model.num_classes', -1),
    ('model.num_classes', True),
    ('model.num_classes', '3'),
    ('model.num_classes', 10**400),
    ('model.num_classes', 1_000_001),
    ('model.stem', 'imagenet'),  # of other networks
    ('model.stem', None),
    ('model.width', float('nan')),
    ('model.width', float('inf')),
    ('model.width', 0.0),
    ('model.width', 1),
    ('model.aux_head', 0),
    ('model.bn_epsilon', 1e-3),  # stored in the card
    ('model.extra', 1),
    ('card', []),
    ('card.input_size', 0),
    ('card.input_size', 8193),
    ('card.input_size', 32.0),
    ('card.mean', [1.0, 2.0]),
    ('card.mean', [1.0]),
    ('card.mean', '123'),
    ('card.mean', 1.0),
    ('card.mean', [1.0, 2.0, '3']),
    ('card.mean', [1.0, 2.0, float('nan')]),
    ('card.mean', [1.0, 2.0, -(10**400)]),
    ('card.mean', [1.0, 2.0, [3.0]]),
    ('card.std', [1.0, 2.0, 0.0]),
    ('card.std', [1.0, 2.0, float('inf')]),
    ('card.std', [1.0, 2.0, 10**400]),
    ('card.crop_mode', 'everything'),
    ('card.crop_fraction', float('nan')),
    ('card.crop_fraction', 1.5),
    ('card.crop_fraction', 1),
    ('card.interpolation', 'lanczos'),
    ('card.count_include_pad', 1),
    ('card.bn_epsilon', -1e-3),
    ('card.bn_epsilon', '1e-3'),
    ('card.class_offset', 1),
    ('card.class_offset', False),
    ('card.extra', 1),
    ('classes', 'cat'),
    ('classes', {'cat': 0}),
    ('classes', ['cat', 1]),
    ('classes', [['cat']]),
    ('classes', ['a', 'b', 'c', 'd']),
  ],
)
def test_invalid_values_are_rejected(path, value):
  with pytest.raises(UserError, match=r'^x\.json '):
    parse(changed(path, value))


@pytest.mark.parametrize(
  'path', ['model.name', 'model.aux_head', 'card.std', 'card.class_offset']
)
def test_missing_keys_are_rejected(path):
  values = json.loads(STORED)
  section, key = path.split('.')
  del values[section][key]
  with pytest.raises(UserError, match=r'^x\.json '):
    parse(values)


@pytest.mark.parametrize('mode', ['short_side', 'mindspore_short_side'])
def test_images_are_not_resized_to_any_size(mode):
  values = changed('card.crop_mode', mode)
  for size, fraction, allowed in ((299, 0.875, True), (299, 0.01, False)):
    values['card'] |= {'input_size': size, 'crop_fraction': fraction}
    if allowed:
      assert parse(values)[1].crop_fraction == fraction
    else:
      with pytest.raises(UserError, match='resized to 29,900 pixels'):
        parse(values)


def test_every_fault_is_listed():
  values = changed('model.num_classes', '3')
  values['card']['bn_epsilon'] = None
  values['card']['extra'] = 1
  with pytest.raises(UserError) as caught:
    parse(values)
  assert caught.value.faults == (
    'x.json describes no network of this project:',
    "model.num_classes='3': expected int",
    'card.extra: unknown',
    'card.bn_epsilon=None: expected float',
  )
