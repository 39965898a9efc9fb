"""The Inception family in JAX.

from inception_jax import create_model, features, load_pretrained

model, variables, card = load_pretrained('inception_v4.safetensors')
seen = features(model, variables, (images - card.mean) / card.std)
seen['pooled'], seen['mixed_6h'], seen['logits']
"""

import importlib
import os
import sys

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
  'Card': ('models.card', 'Card'),
  'create_model': ('models.architectures', 'create_model'),
  'features': ('models.features', 'features'),
  'load_pretrained': ('weights.pretrained', 'load_pretrained'),
}
__all__ = list(_NAMES)


def __getattr__(name: str):
  if name not in _NAMES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  module, attribute = _NAMES[name]
  return getattr(importlib.import_module(f'{__name__}.{module}'), attribute)
