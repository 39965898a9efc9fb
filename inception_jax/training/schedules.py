"""Learning-rate schedules: cold steps, a warm-up, then one of `NAMES`."""

import logging

import optax

from inception_jax.config import durations
from inception_jax.config import validation

log = logging.getLogger(__name__)

NAMES = (
  'cosine',
  'constant',
  'exponential',
  'multi_step',
  'linear',
  'one_cycle',
)


def make_schedule(
  options, batch_size: int, plan: durations.Plan
) -> optax.Schedule:
  """Returns step → learning rate.

  The rate stays at `init_learning_rate` for `cold`, then rises linearly during
  `warmup` to the schedule's own value at that step. `cosine` and `linear` fall
  from there to the end of the training. `exponential` and `multi_step` count
  from the first step, as in TensorFlow and PyTorch. `one_cycle` (Smith and
  Topin 2018) also rises as a cosine.

  Args:
    options: `config.schedule`.
    batch_size: global; every rate is multiplied by batch_size /
      options.batch_size, if that is set.
    plan: the durations in steps.
  """
  s = options
  scale = batch_size / s.batch_size if s.batch_size else 1.0
  if scale != 1.0:
    log.info(
      'learning rates × %.4g: the batch size is %d, the recipe is for %d',
      scale,
      batch_size,
      s.batch_size,
    )
  peak, first, last = (
    scale * rate
    for rate in (s.learning_rate, s.init_learning_rate, s.end_learning_rate)
  )
  begin = plan.cold + plan.warmup
  left = max(1, plan.total - begin)
  if s.name == 'constant':
    main = optax.constant_schedule(peak)
  elif s.name == 'exponential':
    # join_schedules restarts the count at `begin`.
    main = lambda step: optax.exponential_decay(
      peak,
      float(plan.decay_every),
      s.decay_rate,
      staircase=s.staircase,
      end_value=last,
    )(step + begin)
  elif s.name == 'multi_step':
    factors = {at: s.decay_rate for at in plan.milestones}
    main = lambda step: optax.piecewise_constant_schedule(peak, factors)(
      step + begin
    )
  elif s.name == 'linear':
    main = optax.linear_schedule(peak, last, left)
  else:
    main = optax.cosine_decay_schedule(peak, left, last / peak)
  if not begin:
    return main
  if s.name == 'one_cycle':
    # A cosine decay of a negative value rises.
    rise = optax.cosine_decay_schedule(first - peak, max(1, plan.warmup))
    warmup = lambda step: peak + rise(step)
  else:
    warmup = optax.linear_schedule(first, float(main(0)), max(1, plan.warmup))
  cold = optax.constant_schedule(first)
  return optax.join_schedules([cold, warmup, main], [plan.cold, begin])


def check(config) -> list[str]:
  """Returns the faults of `schedule`, but for its durations."""
  return validation.out_of_range(
    config,
    {
      'schedule.name': validation.one_of(NAMES),
      'schedule.learning_rate': validation.POSITIVE,
      'schedule.batch_size': validation.NOT_NEGATIVE,
      'schedule.init_learning_rate': validation.NOT_NEGATIVE,
      'schedule.end_learning_rate': validation.NOT_NEGATIVE,
      'schedule.decay_rate': (lambda v: 0 < v <= 1, 'above 0, at most 1'),
    },
  )
