"""Traces of training steps: which steps, which files, and failures."""

import gzip
import json
import logging

import jax
import jax.numpy as jnp
import pytest

from inception_jax.runtime import profiler

_STEP = jax.jit(lambda x: x + 1)


@pytest.fixture(autouse=True)
def log(caplog):
  caplog.set_level(logging.INFO)
  return caplog


def train(workdir, first_step, num_steps, last=6):
  x = jnp.zeros(8)
  with profiler.Profiler(str(workdir), first_step, num_steps) as profile:
    for step in range(1, last + 1):
      profile.step(step)
      x = _STEP(x)


def traced_steps(workdir):
  """The numbers of the traced steps, as a viewer reads them."""
  (path,) = workdir.glob('plugins/profile/*/perfetto_trace.json.gz')
  assert list(path.parent.glob('*.xplane.pb'))
  events = json.loads(gzip.decompress(path.read_bytes()))['traceEvents']
  return sorted(
    int(event['args']['step_num'])
    for event in events
    if event.get('name', '').startswith('train')
    and 'step_num' in event.get('args', {})
  )


@pytest.mark.parametrize(
  ('first_step', 'num_steps', 'steps'),
  [(3, 2, [3, 4]), (5, 100, [5, 6]), (0, 1, [1])],
)
def test_trace_has_the_planned_steps(
  tmp_path, log, first_step, num_steps, steps
):
  train(tmp_path, first_step, num_steps)
  assert traced_steps(tmp_path) == steps
  assert f'tensorboard --logdir={tmp_path}' in log.text
  assert 'perfetto_trace.json.gz at ui.perfetto.dev' in log.text


def test_no_trace_without_steps(tmp_path, log):
  train(tmp_path, 3, 0)
  assert not list(tmp_path.iterdir()) and not log.text


def test_only_process_0_traces(tmp_path, log, monkeypatch):
  monkeypatch.setattr(profiler, 'is_primary', lambda: False)
  train(tmp_path, 3, 2)
  assert not list(tmp_path.iterdir()) and not log.text


def test_training_that_ends_before_the_trace_is_a_warning(tmp_path, log):
  train(tmp_path, 7, 2)
  assert 'no trace: the training ended before step 7' in log.text


def test_error_in_the_block_writes_the_trace(tmp_path):
  with pytest.raises(FloatingPointError):
    with profiler.Profiler(str(tmp_path), 1, 9) as profile:
      profile.step(1)
      raise FloatingPointError
  assert traced_steps(tmp_path) == [1]


def test_failing_trace_is_a_warning(tmp_path, log):
  (tmp_path / 'plugins').write_text('not a folder')
  train(tmp_path, 3, 2)
  assert 'no trace: ' in log.text
  with jax.profiler.trace(tmp_path / 'other'):
    train(tmp_path, 3, 2)
  assert 'Profile has already been started' in log.text
