"""Throughput and metrics, measured with a fake clock."""

import fractions

import numpy as np
import pytest

from inception_jax.config import durations
from inception_jax.training import progress as progress_lib


@pytest.fixture
def advance(monkeypatch):
  """Replaces the clock; advances it by seconds."""
  now = [100.0]
  monkeypatch.setattr(progress_lib.time, 'perf_counter', lambda: now[0])

  def advance(seconds):
    now[0] += seconds

  return advance


def plan():
  every = fractions.Fraction(2)
  return durations.Plan(20, 0, fractions.Fraction(5), every, every, every)


def sums(top1):
  values = {'loss': 16.0, 'top1': top1, 'top5': 8.0, 'count': 8.0}
  return {
    **{key: np.float32(value) for key, value in values.items()},
    'learning_rate': np.float32(0.5),
    'grad_norm': np.float32(3.0),
    'param_norm': np.float32(4.0),
    'norms': {},
  }


def train_steps(progress, advance, count, waiting, working):
  """Runs steps of `waiting` + `working` seconds, each with an evaluation."""

  def batches():
    while True:
      advance(waiting)
      yield {}

  batches = batches()
  for _ in range(count):
    progress.next(batches)
    advance(working)
    progress.add(sums(2.0))
    advance(50.0)  # an evaluation, which does not count


def test_report_divides_sums_and_measures_time(advance, caplog):
  progress = progress_lib.Progress(plan(), 8, lambda step, sums: None)
  train_steps(progress, advance, 4, waiting=0.25, working=0.75)
  with caplog.at_level('INFO', 'inception_jax'):
    values = progress.report(4)
  assert values['loss'] == 2.0
  assert values['top1'] == 0.25
  assert values['count'] == 32
  assert values['images_per_sec'] == pytest.approx(8.0)
  assert values['ms_per_step'] == pytest.approx(1000.0)
  assert values['sec_per_epoch'] == pytest.approx(5.0)
  assert values['data_wait'] == pytest.approx(0.25)
  # 16 steps of a second each are left; 4 steps of 5 make 0.8 epochs.
  assert 'epoch 0.80 of 4.00  step 4 of 20' in caplog.text
  assert '8.0 images/s  1000.0 ms/step  0:05/epoch' in caplog.text
  assert '0:16 of training left' in caplog.text
  assert 'WARNING' not in caplog.text


def test_waiting_for_data_is_a_warning(advance, caplog):
  progress = progress_lib.Progress(plan(), 8, lambda step, sums: None)
  train_steps(progress, advance, 4, waiting=1.0, working=1.0)
  progress.report(4)
  assert 'waits for data 50 % of its time' in caplog.text
  caplog.clear()
  train_steps(progress, advance, 4, waiting=0.0, working=1.0)
  assert progress.report(8)['data_wait'] == 0
  assert progress.images_per_sec == pytest.approx(64 / 12)
  assert caplog.text == ''


def test_every_step_is_checked_once_and_in_order(advance):
  seen = []
  progress = progress_lib.Progress(
    plan(), 8, lambda step, sums: seen.append(step)
  )
  train_steps(progress, advance, 2, waiting=0.0, working=1.0)
  progress.check_divergence(2)
  assert seen == [1, 2]
  train_steps(progress, advance, 1, waiting=0.0, working=1.0)
  progress.check_divergence(3)
  assert progress.report(3)['count'] == 24
  train_steps(progress, advance, 1, waiting=0.0, working=1.0)
  assert progress.report(4)['count'] == 8
  assert seen == [1, 2, 3, 4]


def test_skipped_steps_are_logged(advance, caplog):
  progress = progress_lib.Progress(plan(), 8, lambda step, sums: None)
  batches = iter([{}] * 3)
  for skipped in (0.0, 1.0, 1.0):
    progress.next(batches)
    advance(1.0)
    scale = {'loss_scale': np.float32(1024), 'skipped': np.float32(skipped)}
    progress.add({**sums(2.0), **scale})
  with caplog.at_level('WARNING', 'inception_jax'):
    assert progress.report(3)['skipped'] == 2
  (line,) = caplog.messages
  assert line.startswith('2 of 3 steps were skipped')
  assert 'a loss scale of 1024; if that goes on, --config.loss_scale=0' in line
