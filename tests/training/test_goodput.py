"""What a training's wall time went to, over all of its starts."""

import json
import logging

import pytest

from inception_jax.training import goodput
from inception_jax.training.goodput import KINDS
from inception_jax.training.goodput import Goodput
from tests.support import runs


class Clock:
  """The module `time`; only `sleep` takes time."""

  def __init__(self):
    self.now = 1000.0

  def time(self):
    return self.now

  perf_counter = time

  def sleep(self, seconds):
    self.now += seconds


@pytest.fixture
def clock(monkeypatch):
  """The clock of a process that started 5 seconds ago."""
  clock = Clock()
  monkeypatch.setattr(goodput, 'time', clock)
  begin = clock.now - 5.0
  monkeypatch.setattr(goodput, '_process_start', lambda: begin)
  return clock


def whole(totals):
  return sum(totals[kind] for kind in KINDS)


def test_all_seconds_are_counted_once(clock):
  counted = Goodput({})
  with counted.counted(goodput.COMPILING):
    clock.sleep(0.2)
  counted.started()
  with pytest.raises(KeyError):
    with counted.counted(goodput.EVALUATION):
      clock.sleep(0.1)
      raise KeyError
  clock.sleep(0.3)
  totals = counted.totals(0.2, 0.05)
  assert totals.pop('until') == clock.now
  expected = dict.fromkeys(KINDS, 0.0)
  expected |= {'compiling': 0.2, 'starting': 5.0, 'evaluation': 0.1}
  expected |= {'steps': 0.15, 'input': 0.05, 'other': 0.1}
  assert totals == pytest.approx(expected, abs=1e-9)
  assert goodput.share(totals) == pytest.approx(0.15 / 5.6)


def test_a_restart_loses_what_was_done_after_the_checkpoint(clock):
  before = {'until': clock.now - 100.0} | dict.fromkeys(KINDS, 10.0)
  counted = Goodput(before)
  counted.started()
  totals = counted.totals(0.0, 0.0)
  assert totals['restarts'] == pytest.approx(10.0 + 95.0)
  assert totals['starting'] == pytest.approx(10.0 + 5.0)
  assert whole(totals) == pytest.approx(80.0 + 100.0)
  # Another host's clock may be behind.
  ahead = {**before, 'until': clock.now + 1000.0}
  assert Goodput(ahead).totals(0.0, 0.0)['restarts'] == 10.0


def test_only_totals_of_a_record_are_taken():
  totals = Goodput({}).totals(1.0, 0.5)
  assert goodput.is_totals(json.loads(json.dumps(totals)))
  for other in (None, {}, [], {**totals, 'x': 1.0}, {**totals, 'steps': '1'}):
    assert not goodput.is_totals(other)
    assert goodput.by_kind(other) == {}
  assert goodput.by_kind(totals) == {kind: totals[kind] for kind in KINDS}
  for seconds in (0.0, 1e308):  # their sum is nothing, or infinite
    assert goodput.by_kind(dict.fromkeys(totals, seconds)) == {}
  for value in (-1.0, float('nan'), float('inf'), None):
    assert not goodput.is_totals({**totals, 'steps': value})


@pytest.mark.slow
def test_training_reports_it_over_its_starts(tmp_path, one_device, caplog):
  caplog.set_level(logging.INFO)
  config = runs.short_config()
  config.train_for = '4 steps'
  runs.train(tmp_path, config, one_device)
  (line,) = [x for x in caplog.messages if x.startswith('goodput ')]
  assert 'restarts 0.0 %' in line and all(kind in line for kind in KINDS)
  path = tmp_path / 'checkpoints' / '4' / 'record' / 'metadata'
  first = json.loads(path.read_text())['values']['seconds']
  assert goodput.is_totals(first) and first['steps'] > 0
  config.train_for = '6 steps'
  runs.train(tmp_path, config, one_device)
  path = tmp_path / 'checkpoints' / '6' / 'record' / 'metadata'
  second = json.loads(path.read_text())['values']['seconds']
  for kind in ('steps', 'compiling', 'evaluation'):
    assert second[kind] > first[kind]
  lines = runs.metrics(tmp_path, 'train')
  assert all(0 < x['goodput'] < 1 for x in lines)
