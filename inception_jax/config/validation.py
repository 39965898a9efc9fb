"""Range checks of config keys."""

from collections.abc import Callable
import math
from typing import Any


def out_of_range(
  config, ranges: dict[str, tuple[Callable[[Any], bool], str]]
) -> list[str]:
  """A fault for each 'group.key' whose value its predicate rejects.

  Numbers that are not finite, and tuples with anything else than finite
  numbers, are rejected before the predicate sees them.
  """
  faults = []
  for path, (accepts, expected) in ranges.items():
    value = config
    for part in path.split('.'):
      value = value[part]
    if not (_is_sane(value) and accepts(value)):
      faults.append(f'{path}={value!r}: expected {expected}')
  return faults


def _is_sane(value) -> bool:
  if isinstance(value, tuple):
    return all(isinstance(v, int | float) and _is_sane(v) for v in value)
  return not isinstance(value, float) or math.isfinite(value)


def one_of(choices) -> tuple[Callable[[Any], bool], str]:
  """The range of a key that is one of `choices`."""
  return choices.__contains__, 'one of ' + ', '.join(choices)


AT_LEAST_1 = (lambda v: 1 <= v < 2**31, 'at least 1 and below 2**31')

NOT_NEGATIVE = (lambda v: v >= 0, 'at least 0')

POSITIVE = (lambda v: v > 0, 'above 0')

FRACTION = (lambda v: 0 <= v < 1, 'at least 0 and below 1')


def check(config) -> list[str]:
  """Faults of the keys that belong to the run as a whole."""
  return out_of_range(
    config,
    {
      'seed': (lambda v: 0 <= v < 2**31, 'at least 0 and below 2**31'),
      'batch_size': AT_LEAST_1,
      'checkpoint_keep': AT_LEAST_1,
      'best_by': one_of(('top1', 'top5', 'loss')),
      'watchdog_minutes': NOT_NEGATIVE,
      'label_smoothing': FRACTION,
      'aux_loss_weight': NOT_NEGATIVE,
      'weight_decay': NOT_NEGATIVE,
      'ema_decay': FRACTION,
      'loss': one_of(('cross_entropy', 'binary_cross_entropy')),
      'batch_norm': one_of(('global', 'replica')),
      'gradient_accumulation': AT_LEAST_1,
      'stop_at_top1': (lambda v: 0 <= v <= 1, 'at least 0, at most 1'),
    },
  )
