"""The Inception family in JAX.

from inception_jax import features, list_models, load_pretrained

list_models('inception_*', weights='timm')
model, variables, card = load_pretrained('inception_v4.safetensors')
images = card.preprocess(['cat.jpg', 'dog.png'])
seen = features(model, variables, images)
seen['pooled'], seen['mixed_6h'], seen['logits']
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the names of `_NAMES`
  from inception_jax.errors import UserError as UserError
  from inception_jax.models.architectures import create_model as create_model
  from inception_jax.models.card import Card as Card
  from inception_jax.models.features import features as features
  from inception_jax.models.figures import Accuracy as Accuracy
  from inception_jax.models.network import Inception as Inception
  from inception_jax.weights.catalog import ModelInfo as ModelInfo
  from inception_jax.weights.catalog import list_models as list_models
  from inception_jax.weights.catalog import model_info as model_info
  from inception_jax.weights.pretrained import Pretrained as Pretrained
  from inception_jax.weights.pretrained import (
    load_pretrained as load_pretrained,
  )

__version__ = '0.1.0'

# `python -m` looks for modules in the working folder first: a stranger's
# tensorflow.py there would run. A checkout's has the recipes, and stays.
if (
  sys.argv[:1] == ['-m']  # until the command is found
  and sys.orig_argv[-len(sys.argv)].removeprefix('-m').startswith(__name__)
  and not sys.flags.safe_path
  and sys.path[0] != os.path.dirname(os.path.dirname(__file__))
):
  del sys.path[0]

# Loaded when asked for, so that a command's mistakes are said at once.
_NAMES = {
  'Accuracy': ('models.figures', 'Accuracy'),
  'Card': ('models.card', 'Card'),
  'Inception': ('models.network', 'Inception'),
  'ModelInfo': ('weights.catalog', 'ModelInfo'),
  'Pretrained': ('weights.pretrained', 'Pretrained'),
  'UserError': ('errors', 'UserError'),
  'create_model': ('models.architectures', 'create_model'),
  'features': ('models.features', 'features'),
  'list_models': ('weights.catalog', 'list_models'),
  'load_pretrained': ('weights.pretrained', 'load_pretrained'),
  'model_info': ('weights.catalog', 'model_info'),
}
__all__ = list(_NAMES)


if not TYPE_CHECKING:  # with which type checkers would take any name

  def __getattr__(name: str):
    if name not in _NAMES:
      raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    module, attribute = _NAMES[name]
    return getattr(importlib.import_module(f'{__name__}.{module}'), attribute)


def __dir__() -> list[str]:
  return [*__all__, '__version__']
