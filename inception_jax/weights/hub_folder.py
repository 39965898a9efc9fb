"""Writes networks as folders in the hub's layout, as timm's save_for_hf does.

timm loads them by `local-dir:` or, pushed to the hub, by `hf-hub:`.
"""

import json
import math
import pathlib
from typing import Any

from inception_jax.models import architectures
from inception_jax.models import specs
from inception_jax.models.card import Card
from inception_jax.weights import exporter
from inception_jax.weights import hub
from inception_jax.weights import model_card
from inception_jax.weights.convert import Weights
from inception_jax.weights.sources import TIMM

WEIGHTS = 'model.safetensors'
# The same pixels in timm.
_SAME_CROPS = {'short_side': 'center', 'squash': 'squash'}
# The nearest that timm has; the hub.OWN of config.json keeps the exact ones.
_NEAREST_CROPS = {
  'mindspore_short_side': 'center',
  'central': 'squash',
  'tf_central': 'squash',
}
_NEAREST_INTERPOLATIONS = {
  'area': 'box',
  'opencv_bilinear': 'bilinear',
  'tf1_bilinear': 'bilinear',
}

# What timm's loaders do, which `pretrained_cfg` has no keys for.
_LOADERS = {key: getattr(Card, key) for key in ('exif', 'background')}


def save(weights: Weights, path: str) -> None:
  """Writes config.json, model.safetensors and README.md into a new folder.

  Args:
    weights: of a network that timm has, without an auxiliary head.
    path: of the folder.

  Raises:
    UserError: timm does not have this network.
  """
  folder = pathlib.Path(path)
  folder.mkdir()
  exporter.save(weights, str(folder / WEIGHTS), 'timm')
  config = _config(weights)
  same = weights.card.crop_mode in _SAME_CROPS
  same &= weights.card.interpolation not in _NEAREST_INTERPOLATIONS
  same &= all(getattr(weights.card, key) == x for key, x in _LOADERS.items())
  text = json.dumps(config, indent=2, ensure_ascii=False)
  (folder / 'config.json').write_text(f'{text}\n')
  (folder / 'README.md').write_text(
    model_card.write(weights, config['pretrained_cfg'], same)
  )


def _config(weights: Weights) -> dict[str, Any]:
  """Returns the config.json that timm's `save_config_for_hf` would write."""
  network, card = weights.network, weights.card
  source = TIMM[network.name]
  first_conv = source.style.conv_prefix(source.names.body[0])
  pretrained = {
    **_preprocessing(card),
    'num_classes': network.num_classes,
    'pool_size': [_last_grid(weights)] * 2,
    'first_conv': first_conv.removesuffix('.'),
    'classifier': source.names.head[-1],
  }
  kernel = weights.variables['params']['head']['dense']['kernel']
  config = {
    'architecture': network.name,
    'num_classes': network.num_classes,
    'num_features': kernel.shape[0],
    'global_pool': 'avg',
  }
  if weights.classes:
    config['label_names'] = _named_outputs(weights)
  if len(card.mean) != 3:
    config['model_args'] = {'in_chans': len(card.mean)}
  if own := _without_word(card, pretrained):
    config[hub.OWN] = own
  return {**config, 'pretrained_cfg': pretrained}


def _named_outputs(weights: Weights) -> list[str]:
  """Returns the classes, and 'output 7' for each output without a name."""
  unnamed = range(len(weights.classes), weights.network.num_classes)
  return [*weights.classes, *(f'output {i}' for i in unnamed)]


def _preprocessing(card: Card) -> dict[str, Any]:
  size = card.input_size
  whole = card.crop_mode == 'squash'
  return {
    'input_size': [len(card.mean), size, size],
    'fixed_input_size': False,
    'interpolation': _NEAREST_INTERPOLATIONS.get(
      card.interpolation, card.interpolation
    ),
    'crop_pct': 1.0 if whole else card.crop_fraction,
    'crop_mode': (_SAME_CROPS | _NEAREST_CROPS)[card.crop_mode],
    'mean': [x / 255 for x in card.mean],
    'std': [x / 255 for x in card.std],
  }


def _without_word(card: Card, pretrained: dict[str, Any]) -> dict[str, Any]:
  """Returns the fields of a card that its `pretrained_cfg` does not give."""
  own = {
    key: getattr(card, key)
    for key, default in _LOADERS.items()
    if getattr(card, key) != default
  }
  for key, value in hub.card_fields(pretrained).items():
    exact = getattr(card, key)
    equal = value == exact
    if isinstance(exact, tuple):  # rounded by the division
      equal = all(map(math.isclose, value, exact))
    if not equal:
      own[key] = exact
  return own


def _last_grid(weights: Weights) -> int:
  """Returns the height and width of the last feature map."""
  size = weights.card.input_size
  for _, spec in architectures.create(weights.network).table:
    size = specs.output_size(spec, size)
  return size
