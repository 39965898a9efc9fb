"""Learning rates, compared with TensorFlow's and PyTorch's formulas."""

import math

import numpy as np
import pytest

from configs import default
from inception_jax.config import durations
from inception_jax.training import schedules


@pytest.fixture
def config():
  config = default.get_config()
  config.batch_size = 10
  config.train_for = '100 steps'
  config.schedule.warmup = '10 steps'
  return config


def rates(config, steps):
  plan = durations.plan(config, 1000)
  schedule = schedules.make_schedule(config.schedule, config.batch_size, plan)
  return [float(schedule(step)) for step in steps]


def test_warmup_then_cosine(config):
  config.schedule.learning_rate = 0.4
  config.schedule.init_learning_rate = 0.1
  config.schedule.end_learning_rate = 0.02
  got = rates(config, [0, 5, 10, 55, 100])
  np.testing.assert_allclose(got, [0.1, 0.25, 0.4, 0.21, 0.02], rtol=1e-6)


def test_warmup_then_constant(config):
  config.schedule.name = 'constant'
  config.schedule.learning_rate = 0.4
  np.testing.assert_allclose(rates(config, [0, 5, 10, 99]), [0, 0.2, 0.4, 0.4])


def test_no_warmup(config):
  config.schedule.warmup = '0 steps'
  config.schedule.learning_rate = 0.4
  np.testing.assert_allclose(
    rates(config, [0, 50, 100]), [0.4, 0.2, 0.0], atol=1e-8
  )


def test_training_shorter_than_its_warmup_is_a_warning(config, caplog):
  config.train_for = '4 steps'
  config.schedule.learning_rate = 1.0
  np.testing.assert_allclose(rates(config, [0, 2, 4]), [0.0, 0.2, 0.4])
  assert 'longer than train_for' in caplog.text


def test_exponential_decays_from_step_0_to_a_minimum(config):
  # As in Google's recipe for Inception-v3: 0.94 every 3 epochs.
  config.schedule.name = 'exponential'
  config.schedule.learning_rate = 0.4
  config.schedule.end_learning_rate = 0.4 * 0.94**12
  config.schedule.decay_every = '6 steps'
  config.schedule.warmup = '7 steps'
  steps = [7, 11, 12, 50, 99]
  expected = [0.4 * max(0.94 ** (s // 6), 0.94**12) for s in steps]
  np.testing.assert_allclose(rates(config, steps), expected, rtol=1e-5)
  # The warm-up ends at the decayed rate.
  np.testing.assert_allclose(rates(config, [0, 7]), [0, 0.4 * 0.94], rtol=1e-5)
  config.schedule.staircase = False
  expected = [0.4 * 0.94 ** (s / 6) for s in (7, 50)]
  np.testing.assert_allclose(rates(config, [7, 50]), expected, rtol=1e-5)


def test_cold_steps_precede_the_warmup(config):
  config.schedule.name = 'constant'
  config.schedule.learning_rate = 0.4
  config.schedule.init_learning_rate = 0.04
  config.schedule.cold = '5 steps'
  got = rates(config, [0, 4, 5, 10, 15, 50])
  expected = [0.04, 0.04, 0.04, 0.22, 0.4, 0.4]
  np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_multi_step_equals_pytorchs(config):
  # As 60, 120 and 160 of 200 epochs, with one epoch of warm-up.
  config.schedule.name = 'multi_step'
  config.schedule.learning_rate = 0.1
  config.schedule.decay_rate = 0.2
  config.schedule.warmup = '1 step'
  config.schedule.milestones = ('30 percent', '0.6 epochs', '80 steps')
  got = rates(config, [0, 1, 29, 30, 59, 60, 79, 80, 99])
  expected = [0, 0.1, 0.1, 0.02, 0.02, 0.004, 0.004, 0.0008, 0.0008]
  np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_linear(config):
  config.schedule.name = 'linear'
  config.schedule.learning_rate = 0.4
  config.schedule.end_learning_rate = 0.1
  got = rates(config, [5, 10, 55, 100])
  np.testing.assert_allclose(got, [0.2, 0.4, 0.25, 0.1], rtol=1e-5)


def test_one_cycle_equals_pytorchs(config):
  config.schedule.name = 'one_cycle'
  config.schedule.learning_rate = 1.0
  config.schedule.init_learning_rate = 1 / 25
  config.schedule.end_learning_rate = 1e-4
  config.schedule.warmup = '30 percent'

  def anneal(start, end, fraction):
    return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))

  expected = [anneal(1 / 25, 1, s / 30) for s in (0, 10, 29)]
  expected += [anneal(1, 1e-4, (s - 30) / 70) for s in (30, 60, 100)]
  got = rates(config, [0, 10, 29, 30, 60, 100])
  np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_rates_scale_with_the_batch_size(config, caplog):
  config.schedule.init_learning_rate = 0.01
  config.schedule.end_learning_rate = 0.001
  config.schedule.batch_size = 10
  steps = [0, 5, 10, 40, 100]
  before = rates(config, steps)
  assert not caplog.records
  config.batch_size = 40
  with caplog.at_level('INFO', 'inception_jax'):
    got = rates(config, steps)
  np.testing.assert_allclose(got, np.multiply(4, before), rtol=1e-5)
  assert (
    'learning rates × 4: the batch size is 40, the recipe is for 10'
    in caplog.text
  )


def test_all_faults_of_a_schedule_are_reported(config):
  config.schedule.name = 'step'
  config.schedule.decay_rate = 0.0
  config.schedule.cold = 'five'
  config.schedule.decay_every = '0 steps'
  config.schedule.milestones = ('30 epochs', 60)
  faults = durations.check(config) + schedules.check(config)
  for key in (
    "schedule.name='step': expected one of cosine, constant",
    'schedule.decay_rate=0.0',
    "schedule.cold='five'",
    "schedule.decay_every='0 steps'",
    'schedule.milestones=60',
  ):
    assert sum(fault.startswith(key) for fault in faults) == 1, key
  assert len(faults) == 5
