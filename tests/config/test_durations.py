"""Durations with units, plans, and their checks."""

import fractions

import pytest

from configs import default
from inception_jax import errors
from inception_jax.config import durations


@pytest.mark.parametrize(
  ('duration', 'expected'),
  [
    ('2000 steps', 2000),
    ('1 step', 1),
    ('2 epochs', fractions.Fraction(1437, 16)),
    ('0.5 epochs', fractions.Fraction(1437, 64)),
    ('5 percent', 50),
    ('0.1 percent', 1),
    ('0 steps', 0),
  ],
)
def test_durations_convert_to_steps(duration, expected):
  per_epoch = fractions.Fraction(1437, 32)
  assert durations.to_steps(duration, per_epoch, 1000) == expected


def test_long_durations_are_exact():
  # 250 epochs of ImageNet in float32 would already be steps off.
  per_epoch = fractions.Fraction(1_281_167, 3)
  assert durations.to_steps('3000 epochs', per_epoch) == 1_281_167_000


def test_plan_resolves_durations_and_intervals():
  config = default.get_config()
  config.batch_size = 10
  config.train_for = '3 epochs'
  config.eval_every = '7 steps'
  config.log_every = '10 percent'
  config.schedule.warmup = '50 percent'
  plan = durations.plan(config, 100)
  assert (plan.total, plan.warmup, plan.log_every) == (30, 15, 3)
  due = [s for s in range(1, 31) if plan.due(plan.eval_every, s)]
  assert due == [7, 14, 21, 28, 30]


def test_intervals_in_epochs_do_not_drift():
  config = default.get_config()
  config.batch_size = 40
  config.train_for = '4 epochs'
  config.eval_every = '1 epoch'  # 2.5 steps
  config.log_every = '0.1 epochs'
  config.schedule.warmup = '0 steps'
  plan = durations.plan(config, 100)
  due = lambda every: [s for s in range(1, 11) if plan.due(every, s)]
  assert due(plan.eval_every) == [3, 5, 8, 10]
  assert due(plan.log_every) == list(range(1, 11))


def test_more_steps_than_int32_are_refused():
  for key in ('train_for', 'eval_every', 'schedule.warmup'):
    for duration in ('9999999999 steps', '2147483647 epochs'):
      config = default.get_config()
      config.update_from_flattened_dict({key: duration})
      with pytest.raises(errors.UserError, match='too many'):
        durations.plan(config, 10**6)
    config.update_from_flattened_dict({key: f'{"9" * 5000} steps'})
    (fault,) = durations.check(config)
    assert fault.startswith(key) and fault.endswith('less than 2**31')


@pytest.mark.parametrize(
  ('profile', 'steps'),
  [('', 0), ('100 steps', 100), ('0.05 epochs', 1), ('10 percent', 3)],
)
def test_profile_in_steps(profile, steps):
  config = default.get_config()
  config.batch_size = 10
  config.train_for = '3 epochs'
  config.profile = profile
  config.profile_from = '1 epoch'
  assert durations.check(config) == []
  plan = durations.plan(config, 100)
  assert (plan.profile, plan.profile_from) == (steps, 10)


def test_images_grow_for_a_share_of_the_training(caplog):
  config = default.get_config()
  config.train_for, config.data.grow_for = '200 steps', '80 percent'
  assert durations.plan(config, 1000).grow_for == 160
  config.data.grow_from = 8
  durations.plan(config, 1000)
  assert 'data.grow_for' not in caplog.text
  config.data.grow_for = '200 steps'
  durations.plan(config, 1000)
  assert 'no step has images of data.image_size' in caplog.text
  config.data.grow_for = '0 epochs'
  (fault,) = durations.check(config)
  assert fault.startswith("data.grow_for='0 epochs': expected more than 0")


@pytest.mark.parametrize('profile', ['100', '0 steps', 'yes'])
def test_invalid_profile_is_a_fault(profile):
  config = default.get_config()
  config.profile = profile
  config.profile_from = '-1 steps'
  first, second = durations.check(config)
  assert first.startswith(f'profile={profile!r}: expected ')
  assert second.startswith("profile_from='-1 steps': expected ")
