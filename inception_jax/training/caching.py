"""What `fine_tune.cache_features` asks of a config, and what batches it has."""

from typing import Any

import numpy as np

from inception_jax.data.splits import Indexed
from inception_jax.errors import UserError

# Key → the value with which an image has the same features in every epoch, and
# nothing but the classifier is trained.
FIXED = {
  'fine_tune.freeze': ('!head', '*'),
  'fine_tune.unfreeze_at': (),
  'data.train_crop': 'none',
  'data.pad': 0,
  'data.flip': False,
  'data.rotate': 0.0,
  'data.policy': '',
  'data.color_jitter': (0.0, 0.0, 0.0, 0.0),
  'data.brightness_shift': 0.0,
  'data.color_distortion': '',
  'data.erase': 0.0,
  'data.mixup': 0.0,
  'data.cutmix': 0.0,
  'data.repeats': 1,
  'data.grow_from': 0,
  'data.eval_protocol': 'single',
  'model.aux_head': False,
  'model.drop_path_rate': 0.0,
}


def check(config) -> list[str]:
  """Returns a fault for each key that contradicts `fine_tune.cache_features`.

  The last line has all the flags to add.
  """
  if not config.fine_tune.cache_features:
    return []
  wrong = {
    key: value for key, value in FIXED.items() if _value(config, key) != value
  }
  if config.fine_tune.freeze_batch_norm == 'none':
    wrong['fine_tune.freeze_batch_norm'] = ''
  if not wrong:
    return []
  flags = [_flag(key, value) for key, value in wrong.items()]
  faults = [
    f'fine_tune.cache_features: {key}={_value(config, key)!r}, expected '
    f'{value!r}'
    for key, value in wrong.items()
  ]
  return [*faults, f'fine_tune.cache_features: add {" ".join(flags)}']


def check_split(config, split) -> None:
  """Raises a UserError if the images of a split have no numbers."""
  if config.fine_tune.cache_features and not isinstance(split, Indexed):
    raise UserError(
      f'fine_tune.cache_features: {config.data.source} reads '
      f'{config.data.train_split} in the order of its files; sources whose '
      'records can be read by number can cache, as folder does'
    )


def width(params) -> int:
  """Returns the number of pooled features, which the classifier reads."""
  return params['head']['dense']['kernel'].shape[0]


def batch_spec(config, params) -> dict[str, np.ndarray]:
  """Returns the global batch of features, as zeros that take no memory."""
  size = config.batch_size
  return {
    'features': np.broadcast_to(np.float32(0), (size, width(params))),
    'label': np.broadcast_to(np.int32(0), (size,)),
  }


def _value(config, key: str) -> Any:
  for part in key.split('.'):
    config = config[part]
  return config


def _flag(key: str, value) -> str:
  text = f'"{value}"' if isinstance(value, tuple) else str(value)
  return f'--config.{key}={text}'
