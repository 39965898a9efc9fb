"""Checks of a config as a whole, and durations turned into steps."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import fnmatch
from fractions import Fraction
import json
import logging
import math
import re
from typing import Any

log = logging.getLogger(__name__)

_DURATION = re.compile(r'(\d+(?:\.\d+)?) (step|epoch|percent)s?')


def some(lines: list[str], most: int = 40) -> list[str]:
  """The first of many lines, and how many more there are."""
  more = len(lines) - most
  return [*lines[:most], f'and {more} more'] if more > 0 else lines


class UserError(Exception):
  """A mistake of the user's: every fault, one clear line each; exit 2."""

  def __init__(self, *faults: str):
    super().__init__('\n'.join(faults))
    self.faults = faults


def steps(duration: str, per_epoch: Fraction, total: int = 0) -> Fraction:
  """Converts '2000 steps', '5 epochs' or '5 percent' (of `total`) to steps.

  Args:
    duration: a number and its unit.
    per_epoch: steps an epoch, as `Plan.steps_per_epoch`.
    total: steps of the whole training; only percentages need it.

  Returns:
    Steps, exactly; an epoch rarely is a whole number of them.
  """
  number, unit = _DURATION.fullmatch(duration).groups()
  scale = {'step': 1, 'epoch': per_epoch, 'percent': Fraction(total, 100)}
  return Fraction(number) * scale[unit]


@dataclasses.dataclass(frozen=True)
class Plan:
  """The durations of a config in steps.

  Attributes:
    total: steps of the whole training.
    warmup: steps of the learning rate's rise.
    cold: steps before it.
    decay_every: steps between falls of the learning rate, exactly.
    milestones: steps at which it falls.
    steps_per_epoch: examples in the split over the global batch, exactly.
    eval_every: exactly, so that '1 epoch' never drifts from the epochs.
    checkpoint_every: likewise.
    log_every: likewise.
    histogram_every: likewise; 0 for never.
  """

  total: int
  warmup: int
  steps_per_epoch: Fraction
  eval_every: Fraction
  checkpoint_every: Fraction
  log_every: Fraction
  cold: int = 0
  decay_every: Fraction = Fraction(1)
  milestones: tuple[int, ...] = ()
  histogram_every: Fraction = Fraction(0)

  def due(self, every: Fraction, step: int) -> bool:
    """Whether step `step` reaches a multiple of `every`, or is the last."""
    reached = every and step // every > (step - 1) // every
    return bool(reached or (every and step == self.total))


def plan(config, num_examples: int) -> Plan:
  """Resolves the durations of `config` over `num_examples` an epoch.

  Raises:
    UserError: the training is longer than steps can be counted.
  """
  per_epoch = Fraction(num_examples, config.batch_size)
  total = max(1, round(steps(config.train_for, per_epoch)))
  if total >= 2**31:
    raise UserError(
      f'train_for={config.train_for!r}: {total} steps are too many'
    )
  s = config.schedule
  warmup = round(steps(s.warmup, per_epoch, total))
  if warmup > total:
    log.warning(
      'schedule.warmup (%d steps) is longer than train_for (%d steps): the '
      'learning rate only rises',
      warmup,
      total,
    )
  return Plan(
    total=total,
    warmup=warmup,
    steps_per_epoch=per_epoch,
    eval_every=steps(config.eval_every, per_epoch, total),
    checkpoint_every=steps(config.checkpoint_every, per_epoch, total),
    log_every=steps(config.log_every, per_epoch, total),
    histogram_every=steps(config.histogram_every, per_epoch, total),
    cold=round(steps(s.cold, per_epoch, total)),
    decay_every=steps(s.decay_every, per_epoch, total),
    milestones=tuple(round(steps(at, per_epoch, total)) for at in s.milestones),
  )


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
  faults = out_of_range(
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
  s = config.schedule
  for path, value, percent, zero in (
    ('train_for', config.train_for, False, False),
    ('eval_every', config.eval_every, True, False),
    ('checkpoint_every', config.checkpoint_every, True, False),
    ('log_every', config.log_every, True, False),
    ('histogram_every', config.histogram_every, True, True),
    ('schedule.warmup', s.warmup, True, True),
    ('schedule.cold', s.cold, True, True),
    ('schedule.decay_every', s.decay_every, True, False),
    *(('schedule.milestones', at, True, False) for at in s.milestones),
  ):
    match = _DURATION.fullmatch(str(value))
    if not match or (match[2] == 'percent' and not percent):
      units = "'90 epochs' or '2000 steps'"
      units += " or '5 percent'" if percent else ''
      faults.append(f'{path}={value!r}: expected a number and unit, as {units}')
    elif not zero and not float(match[1]):
      faults.append(f'{path}={value!r}: expected more than 0')
  return faults


def changes(stored: dict, config) -> list[str]:
  """'key: before → now' for each key that differs from a parsed config.json."""
  # Both through JSON, which has no tuples.
  before, now = (
    dict(leaves(tree)) for tree in (stored, json.loads(to_json(config)))
  )
  of = lambda tree, key: tree.get(key, 'absent')
  return [
    f'{key}: {of(before, key)!r} → {of(now, key)!r}'
    for key in sorted(before.keys() | now.keys())
    if of(before, key) != of(now, key)
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
