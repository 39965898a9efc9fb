"""Durations with units, and their conversion to steps."""

import dataclasses
from fractions import Fraction
import logging
import math
import re

from inception_jax.errors import UserError

log = logging.getLogger(__name__)

_DURATION = re.compile(r'(\d+(?:\.\d+)?) (step|epoch|percent)s?')


def to_steps(duration: str, per_epoch: Fraction, total: int = 0) -> Fraction:
  """Converts '2000 steps', '5 epochs' or '5 percent' (of `total`) to steps.

  The result is exact: an epoch of `per_epoch` steps is rarely a whole number.
  """
  number, unit = _DURATION.fullmatch(duration).groups()
  scale = {'step': 1, 'epoch': per_epoch, 'percent': Fraction(total, 100)}
  return Fraction(number) * scale[unit]


@dataclasses.dataclass(frozen=True)
class Plan:
  """The durations of a config in steps, under the names of their keys.

  Intervals are exact fractions, so that '1 epoch' never drifts from the epochs.
  """

  total: int  # of the whole training
  warmup: int  # of the learning rate
  steps_per_epoch: Fraction  # examples in the split / global batch size
  eval_every: Fraction
  checkpoint_every: Fraction
  log_every: Fraction
  cold: int = 0  # at the initial learning rate, before the warm-up
  decay_every: Fraction = Fraction(1)  # of the learning rate
  milestones: tuple[int, ...] = ()  # steps at which the learning rate falls
  histogram_every: Fraction = Fraction(0)  # 0: never
  keep_every: Fraction = Fraction(0)  # checkpoint_keep_every; 0: never
  profile: int = 0  # steps to trace; 0: none
  profile_from: int = 0  # steps of a process before its trace starts
  grow_for: int = 0  # steps before the images have their full size
  unfreeze: tuple[int, ...] = ()  # steps after which more is trained

  def due(self, every: Fraction, step: int) -> bool:
    """Returns whether `step` reaches a multiple of `every` or is the last."""
    if not every:
      return False
    return step // every > (step - 1) // every or step == self.total


def plan(config, num_examples: int) -> Plan:
  """Converts the durations of a config to steps, given the examples per epoch.

  Raises:
    UserError: one has more steps than an int32 can count.
  """
  per_epoch = Fraction(num_examples, config.batch_size)
  total = 0

  def steps(duration: str) -> Fraction:
    number = to_steps(duration, per_epoch, total)
    if number >= 2**31:
      raise UserError(f'{duration!r}: {round(number)} steps are too many')
    return number

  total = max(1, round(steps(config.train_for)))
  s = config.schedule
  warmup = round(steps(s.warmup))
  if warmup > total:
    log.warning(
      'schedule.warmup (%d steps) is longer than train_for (%d steps): the '
      'learning rate never reaches its peak',
      *(warmup, total),
    )
  grow_for = round(steps(config.data.grow_for))
  if config.data.grow_from and grow_for >= total:
    log.warning(
      'data.grow_for (%d steps) is not shorter than train_for (%d steps): no '
      'step has images of data.image_size',
      *(grow_for, total),
    )
  return Plan(
    total=total,
    warmup=warmup,
    steps_per_epoch=per_epoch,
    eval_every=steps(config.eval_every),
    checkpoint_every=steps(config.checkpoint_every),
    log_every=steps(config.log_every),
    histogram_every=steps(config.histogram_every),
    keep_every=steps(config.checkpoint_keep_every),
    profile=math.ceil(steps(config.profile)) if config.profile else 0,
    profile_from=round(steps(config.profile_from)),
    grow_for=grow_for,
    unfreeze=tuple(round(steps(at)) for _, at in config.fine_tune.unfreeze_at),
    cold=round(steps(s.cold)),
    decay_every=steps(s.decay_every),
    milestones=tuple(round(steps(at)) for at in s.milestones),
  )


def check(config) -> list[str]:
  """Returns the faults of all durations, those of the schedule included."""
  faults = []
  s = config.schedule
  for path, value, percent, zero in (
    ('train_for', config.train_for, False, False),
    ('eval_every', config.eval_every, True, False),
    ('checkpoint_every', config.checkpoint_every, True, False),
    ('log_every', config.log_every, True, False),
    ('histogram_every', config.histogram_every, True, True),
    ('checkpoint_keep_every', config.checkpoint_keep_every, True, True),
    *([('profile', config.profile, True, False)] if config.profile else []),
    ('profile_from', config.profile_from, True, True),
    ('data.grow_for', config.data.grow_for, True, False),
    ('schedule.warmup', s.warmup, True, True),
    ('schedule.cold', s.cold, True, True),
    ('schedule.decay_every', s.decay_every, True, False),
    *(('schedule.milestones', at, True, False) for at in s.milestones),
    *(('fine_tune.unfreeze_at', at, False, False) for at in _unfreeze(config)),
  ):
    match = _DURATION.fullmatch(str(value))
    if not match or (match[2] == 'percent' and not percent):
      units = "'90 epochs' or '2000 steps'"
      units += " or '5 percent'" if percent else ''
      faults.append(f'{path}={value!r}: expected a number and unit, as {units}')
    elif not zero and not float(match[1]):
      faults.append(f'{path}={value!r}: expected more than 0')
    elif float(match[1]) >= 2**31:
      faults.append(f'{path}={value!r}: expected less than 2**31')
  return faults


def _unfreeze(config) -> list:
  """Returns the durations in `fine_tune.unfreeze_at`, of those it has."""
  pairs = config.fine_tune.unfreeze_at
  return [x[1] for x in pairs if isinstance(x, tuple) and len(x) == 2]
