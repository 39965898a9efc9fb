"""What `fine_tune.cache_features` asks of a config, and what batches it has."""

from typing import Any

import numpy as np

from inception_jax.data.splits import Indexed
from inception_jax.errors import UserError

# Key → the value with which nothing but the classifier is trained, on features
# of single images.
FROZEN = {
  'fine_tune.freeze': ('!head', '*'),
  'fine_tune.unfreeze_at': (),
  'data.mixup': 0.0,
  'data.cutmix': 0.0,
  'data.repeats': 1,
  'data.grow_from': 0,
  'data.eval_protocol': 'single',
  'model.aux_head': False,
  'model.drop_path_rate': 0.0,
}
# The same, and with which an image has a single view.
FIXED = {
  **FROZEN,
  'data.train_crop': 'none',
  'data.pad': 0,
  'data.flip': False,
  'data.rotate': 0.0,
  'data.policy': '',
  'data.color_jitter': (0.0, 0.0, 0.0, 0.0),
  'data.brightness_shift': 0.0,
  'data.color_distortion': '',
  'data.erase': 0.0,
}


def check(config) -> list[str]:
  """Returns a fault for each key that contradicts `fine_tune.cache_features`.

  The last line has all the flags to add.
  """
  views, faults = config.fine_tune.cached_views, []
  if views < 1 or (views > 1 and not config.fine_tune.cache_features):
    faults.append(
      f'fine_tune.cached_views={views}: expected at least 1, and from 2 on '
      'fine_tune.cache_features=True'
    )
  if not config.fine_tune.cache_features:
    return faults
  wrong = {
    key: value
    for key, value in (FROZEN if views > 1 else FIXED).items()
    if _value(config, key) != value
  }
  if config.fine_tune.freeze_batch_norm == 'none':
    wrong['fine_tune.freeze_batch_norm'] = ''
  if not wrong:
    return faults
  flags = [_flag(key, value) for key, value in wrong.items()]
  faults += [
    f'fine_tune.cache_features: {key}={_value(config, key)!r}, expected '
    f'{value!r}'
    for key, value in wrong.items()
  ]
  hint = f'add {" ".join(flags)}'
  if wrong.keys() - FROZEN.keys() - {'fine_tune.freeze_batch_norm'}:
    hint += '; or fine_tune.cached_views=10, to cache ten views of each image'
  return [*faults, f'fine_tune.cache_features: {hint}']


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
