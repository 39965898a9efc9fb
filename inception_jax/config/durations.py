"""Durations with their units, and what they are in steps."""

import dataclasses
from fractions import Fraction
import logging
import re

from inception_jax.errors import UserError

log = logging.getLogger(__name__)

_DURATION = re.compile(r'(\d+(?:\.\d+)?) (step|epoch|percent)s?')


def to_steps(duration: str, per_epoch: Fraction, total: int = 0) -> Fraction:
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
    keep_every: steps between checkpoints that stay; 0 for none.
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
  keep_every: Fraction = Fraction(0)

  def due(self, every: Fraction, step: int) -> bool:
    """Whether `step` reaches a multiple of `every`, or is the last."""
    if not every:
      return False
    return step // every > (step - 1) // every or step == self.total


def plan(config, num_examples: int) -> Plan:
  """Resolves the durations of `config` over `num_examples` an epoch.

  Raises:
    UserError: the training is longer than steps can be counted.
  """
  per_epoch = Fraction(num_examples, config.batch_size)
  total = max(1, round(to_steps(config.train_for, per_epoch)))
  if total >= 2**31:
    raise UserError(
      f'train_for={config.train_for!r}: {total} steps are too many'
    )
  s = config.schedule
  warmup = round(to_steps(s.warmup, per_epoch, total))
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
    eval_every=to_steps(config.eval_every, per_epoch, total),
    checkpoint_every=to_steps(config.checkpoint_every, per_epoch, total),
    log_every=to_steps(config.log_every, per_epoch, total),
    histogram_every=to_steps(config.histogram_every, per_epoch, total),
    keep_every=to_steps(config.checkpoint_keep_every, per_epoch, total),
    cold=round(to_steps(s.cold, per_epoch, total)),
    decay_every=to_steps(s.decay_every, per_epoch, total),
    milestones=tuple(
      round(to_steps(at, per_epoch, total)) for at in s.milestones
    ),
  )


def check(config) -> list[str]:
  """Faults of the durations, the schedule's among them."""
  faults = []
  s = config.schedule
  for path, value, percent, zero in (
    ('train_for', config.train_for, False, False),
    ('eval_every', config.eval_every, True, False),
    ('checkpoint_every', config.checkpoint_every, True, False),
    ('log_every', config.log_every, True, False),
    ('histogram_every', config.histogram_every, True, True),
    ('checkpoint_keep_every', config.checkpoint_keep_every, True, True),
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
