"""Checks of a config as a whole, and durations turned into steps."""

from collections.abc import Callable
import dataclasses
import fractions
import json
import logging
import re

log = logging.getLogger(__name__)

_DURATION = re.compile(r'(\d+(?:\.\d+)?) (step|epoch|percent)s?')


class UserError(Exception):
  """A mistake of the user's: every fault, one clear line each; exit 2."""

  def __init__(self, *faults: str):
    super().__init__('\n'.join(faults))
    self.faults = faults


def steps(duration: str, steps_per_epoch: fractions.Fraction, total: int = 0):
  """Converts '2000 steps', '5 epochs' or '5 percent' (of `total`) to steps.

  Args:
    duration: a number and its unit.
    steps_per_epoch: examples in the split over the global batch, exactly.
    total: steps of the whole training; only percentages need it.

  Returns:
    The nearest whole number of steps; at least 1 unless the duration is 0.
  """
  number, unit = _DURATION.fullmatch(duration).groups()
  scale = {'step': 1, 'epoch': steps_per_epoch, 'percent': total / 100}[unit]
  exact = fractions.Fraction(number) * fractions.Fraction(scale)
  return max(1, round(exact)) if exact else 0


@dataclasses.dataclass(frozen=True)
class Plan:
  """The durations of a config in steps."""

  total: int
  steps_per_epoch: fractions.Fraction
  warmup: int
  eval_every: int
  checkpoint_every: int
  log_every: int

  def due(self, every: int, step: int) -> bool:
    """Whether something done `every` so many steps is due after `step`."""
    return step % every == 0 or step == self.total


def plan(config, num_examples: int) -> Plan:
  """Resolves the durations of `config` over `num_examples` a epoch."""
  per_epoch = fractions.Fraction(num_examples, config.batch_size)
  total = steps(config.train_for, per_epoch)
  warmup = steps(config.schedule.warmup, per_epoch, total)
  if warmup > total:
    log.warning(
      'schedule.warmup (%d steps) is longer than train_for (%d steps): the '
      'learning rate only rises',
      warmup,
      total,
    )
  return Plan(
    total=total,
    steps_per_epoch=per_epoch,
    warmup=warmup,
    eval_every=steps(config.eval_every, per_epoch, total),
    checkpoint_every=steps(config.checkpoint_every, per_epoch, total),
    log_every=steps(config.log_every, per_epoch, total),
  )


def out_of_range(
  config, ranges: dict[str, tuple[Callable[[float], bool], str]]
) -> list[str]:
  """A fault for each 'group.key' whose value its predicate rejects."""
  faults = []
  for path, (accepts, expected) in ranges.items():
    value = config
    for part in path.split('.'):
      value = value[part]
    if not accepts(value):
      faults.append(f'{path}={value!r}: expected {expected}')
  return faults


AT_LEAST_1 = (lambda v: v >= 1, 'at least 1')
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
    },
  )
  for path, value, percent, zero in (
    ('train_for', config.train_for, False, False),
    ('eval_every', config.eval_every, True, False),
    ('checkpoint_every', config.checkpoint_every, True, False),
    ('log_every', config.log_every, True, False),
    ('schedule.warmup', config.schedule.warmup, True, True),
  ):
    match = _DURATION.fullmatch(value)
    if not match or (match[2] == 'percent' and not percent):
      units = "'90 epochs' or '2000 steps'"
      units += " or '5 percent'" if percent else ''
      faults.append(f'{path}={value!r}: expected a number and unit, as {units}')
    elif not zero and not float(match[1]):
      faults.append(f'{path}={value!r}: expected more than 0')
  return faults


def to_json(config) -> str:
  """The resolved config as JSON, keys sorted."""
  return json.dumps(config.to_dict(), indent=2, sort_keys=True) + '\n'
