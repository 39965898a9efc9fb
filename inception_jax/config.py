"""Checks of a config as a whole, patterns, and configs as JSON."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import fnmatch
import json
import math
from typing import Any


def some(lines: list[str], most: int = 40) -> list[str]:
  """The first of many lines, and how many more there are."""
  more = len(lines) - most
  return [*lines[:most], f'and {more} more'] if more > 0 else lines


class UserError(Exception):
  """A mistake of the user's: every fault, one clear line each; exit 2."""

  def __init__(self, *faults: str):
    super().__init__('\n'.join(faults))
    self.faults = faults


def matches(path: str, pattern: str) -> bool:
  """Whether a glob names `path`, or what it lies in.

  'head' matches 'head/dense/kernel', as do '*/kernel' and 'head/*'.
  """
  return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(
    path, pattern + '/*'
  )


def frozen(path: str, patterns: tuple[str, ...]) -> bool:
  """Whether the first of `patterns` that matches `path` freezes it.

  One that begins with '!' keeps it trainable: ('!head', '*') trains the head
  alone.
  """
  for pattern in patterns:
    if matches(path, pattern.removeprefix('!')):
      return not pattern.startswith('!')
  return False


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
SHARE = (lambda v: 0 <= v < 1, 'at least 0 and below 1')


def check(config) -> list[str]:
  """Faults of the keys that belong to the run as a whole."""
  return out_of_range(
    config,
    {
      'seed': (lambda v: 0 <= v < 2**31, 'at least 0 and below 2**31'),
      'batch_size': AT_LEAST_1,
      'checkpoint_keep': AT_LEAST_1,
      'label_smoothing': SHARE,
      'aux_loss_weight': NOT_NEGATIVE,
      'weight_decay': NOT_NEGATIVE,
      'ema_decay': SHARE,
      'loss': one_of(('cross_entropy', 'binary_cross_entropy')),
      'batch_norm': one_of(('global', 'replica')),
      'gradient_accumulation': AT_LEAST_1,
      'stop_at_top1': (lambda v: 0 <= v <= 1, 'at least 0, at most 1'),
    },
  )


def changes(stored: dict, config) -> list[str]:
  """'key: before → now' for each key that differs from a parsed config.json."""
  # Both through JSON, which has no tuples.
  before, now = (
    dict(leaves(tree)) for tree in (stored, json.loads(to_json(config)))
  )
  missing = 'absent'
  return [
    f'{key}: {before.get(key, missing)!r} → {now.get(key, missing)!r}'
    for key in sorted(before.keys() | now.keys())
    if before.get(key, missing) != now.get(key, missing)
  ]


def leaves(tree: Mapping, prefix: str = '') -> Iterator[tuple[str, Any]]:
  """('data.source', value) of each key of a config, or of a parsed one."""
  for key, value in tree.items():
    if hasattr(value, 'items'):
      yield from leaves(value, f'{prefix}{key}.')
    else:
      yield prefix + key, value


def to_json(config) -> str:
  """The resolved config as JSON, keys sorted."""
  return json.dumps(config.to_dict(), indent=2, sort_keys=True) + '\n'


def json_line(values: dict) -> str:
  """One line of JSON; what JSON has no number for becomes null."""
  return json.dumps(
    {
      key: None if isinstance(v, float) and not math.isfinite(v) else v
      for key, v in values.items()
    }
  )
