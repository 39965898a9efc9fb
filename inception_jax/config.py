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


class RunError(Exception):
  """What ended a run that was right to begin with, in one line; exit 1."""


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
      'best_by': one_of(('top1', 'top5', 'loss')),
      'watchdog_minutes': NOT_NEGATIVE,
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


# What a resumed training may have otherwise without another arithmetic; of
# these, train_for stretches the schedule, as someone who sets it expects.
_HARMLESS = (
  '*_every',
  'allow_changed',
  'best_by',
  'checkpoint_keep',
  'data.dir',
  'data.eval_*',
  'data.max_bad_fraction',
  'deterministic',
  'fine_tune.checkpoint',
  'optimizer.shard_state',
  'stop_at_top1',
  'train_for',
  'watchdog_minutes',
)


def check_changes(stored: dict, config) -> tuple[list[str], list[str]]:
  """What a resumed training has otherwise than the one that was saved.

  Args:
    stored: the config of its checkpoint, as parsed from JSON.
    config: the whole config.

  Returns:
    A line for each change, and those of them that are neither harmless nor
    allowed by config.allow_changed.
  """
  allowed = [glob.strip() for glob in config.allow_changed.split(',')]
  globs = (*_HARMLESS, *filter(None, allowed))
  found = changes(stored, config)
  lines = [f'{key}: {before!r} → {now!r}' for key, before, now in found]
  refused = [
    line
    for line, (key, *values) in zip(lines, found, strict=True)
    if not any(fnmatch.fnmatchcase(key, glob) for glob in globs)
    # A key that is new, or has gone, is this version's and not the user's.
    and _ABSENT not in values
    and not (key == 'precision' and _is_renamed(stored, *values))
  ]
  return lines, refused


def _is_renamed(stored: dict, before, now) -> bool:
  # Until there was `deterministic`, float32 was what tensorfloat32 is.
  was, called = 'float32', 'tensorfloat32'
  return 'deterministic' not in stored and (before, now) == (was, called)


_ABSENT = 'absent'


def changes(stored: dict, config) -> list[tuple[str, Any, Any]]:
  """(key, stored, now) of each that differs, or that one of them lacks."""
  # Both through JSON, which has no tuples.
  before, now = (
    dict(leaves(tree)) for tree in (stored, json.loads(to_json(config)))
  )
  pairs = [
    (key, before.get(key, _ABSENT), now.get(key, _ABSENT))
    for key in sorted(before.keys() | now.keys())
  ]
  return [pair for pair in pairs if pair[1] != pair[2]]


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


def from_json(text: str, defaults):
  """The config that `to_json` wrote; keys that it lacks are the defaults.

  Raises:
    ValueError: it is something else.
  """
  tuples = lambda x: tuple(map(tuples, x)) if isinstance(x, list) else x
  config = defaults.copy_and_resolve_references()
  for path, value in leaves(json.loads(text)):
    *groups, key = path.split('.')
    group = config
    for name in groups:
      group = group[name]
    if key in group and type(group[key]) is not type(tuples(value)):
      raise ValueError(f'{path}={value!r}: expected {type(group[key])}')
    group[key] = tuples(value)
  return config


def json_line(values: dict) -> str:
  """One line of JSON; what JSON has no number for becomes null."""
  return json.dumps(finite(values))


def finite(value):
  """What JSON can say: numbers that are not finite become None."""
  if isinstance(value, dict):
    return {key: finite(v) for key, v in value.items()}
  if isinstance(value, list | tuple):
    return [finite(v) for v in value]
  unspeakable = isinstance(value, float) and not math.isfinite(value)
  return None if unspeakable else value
