"""Range checks of config keys."""

from collections.abc import Callable
import math
from typing import Any


def out_of_range(
  config, ranges: dict[str, tuple[Callable[[Any], bool], str]]
) -> list[str]:
  """Returns a fault for each 'group.key' whose predicate rejects its value.

  Non-finite numbers, and tuples that hold anything but finite numbers, are
  rejected without calling the predicate.
  """
  faults = []
  for path, (accepts, expected) in ranges.items():
    value = config
    for part in path.split('.'):
      value = value[part]
    if not (_is_finite(value) and accepts(value)):
      faults.append(f'{path}={value!r}: expected {expected}')
  return faults


def _is_finite(value) -> bool:
  if isinstance(value, tuple):
    return all(isinstance(v, int | float) and _is_finite(v) for v in value)
  return not isinstance(value, float) or math.isfinite(value)


def one_of(choices) -> tuple[Callable[[Any], bool], str]:
  """Returns the range of a key whose value is one of `choices`."""
  return choices.__contains__, 'one of ' + ', '.join(choices)


AT_LEAST_1 = (lambda v: 1 <= v < 2**31, 'at least 1 and below 2**31')
NOT_NEGATIVE = (lambda v: v >= 0, 'at least 0')
POSITIVE = (lambda v: v > 0, 'above 0')
FRACTION = (lambda v: 0 <= v < 1, 'at least 0 and below 1')


def check(config) -> list[str]:
  """Returns the faults of the keys that concern the run as a whole."""
  binary = config.loss.startswith('binary_cross_entropy')
  return out_of_range(
    config,
    {
      'seed': (lambda v: 0 <= v < 2**31, 'at least 0 and below 2**31'),
      'batch_size': AT_LEAST_1,
      'checkpoint_keep': AT_LEAST_1,
      'best_by': one_of(('top1', 'top5', 'balanced_accuracy', 'loss')),
      'watchdog_minutes': NOT_NEGATIVE,
      'label_smoothing': FRACTION,
      'aux_loss_weight': NOT_NEGATIVE,
      'weight_decay': NOT_NEGATIVE,
      'ema_decay': FRACTION,
      'loss': one_of(
        (
          'cross_entropy',
          'binary_cross_entropy',
          'binary_cross_entropy_sum',
        )
      ),
      'loss_threshold': (
        FRACTION if binary else ((lambda v: v == 0), '0 but for a binary loss')
      ),
      'gradient_accumulation': AT_LEAST_1,
      'stop_at_top1': (lambda v: 0 <= v <= 1, 'at least 0, at most 1'),
    },
  )
