"""Evaluating the checkpoints of a training in another process."""

import threading

import pytest

from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluate
from inception_jax.evaluation import follow
from inception_jax.runtime import lock
from inception_jax.runtime import metrics_file
from tests.support.runs import metrics
from tests.support.runs import train
from tests.support.tiny import tiniest_config


@pytest.fixture
def config():
  config = tiniest_config()
  config.train_for = '8 steps'
  config.checkpoint_every = '2 steps'
  config.eval_every = config.log_every = '6 steps'
  config.checkpoint_keep = 9
  return config


@pytest.fixture(autouse=True)
def poll_often(monkeypatch):
  monkeypatch.setattr(follow, 'POLL_SECONDS', 0.05)


def follow_run(config, workdir, mesh, patience=1.0):
  return follow.follow(config, str(workdir), mesh, patience)


@pytest.mark.slow
def test_each_checkpoint_is_evaluated_once_while_training_runs(
  config, one_device, tmp_path
):
  scores = {}
  follower = threading.Thread(
    target=lambda: scores.update(follow_run(config, tmp_path, one_device))
  )
  follower.start()  # before the workdir exists
  result = train(tmp_path, config, one_device)
  follower.join(60)
  assert not follower.is_alive()
  evaluations = metrics(tmp_path, 'eval')
  assert sorted(x['step'] for x in evaluations) == [2, 4, 6, 8]
  # The training itself evaluates steps 6 and 8.
  assert [x['step'] for x in evaluations if 'images_per_sec' in x] == [6, 8]
  assert scores == {key: result[key] for key in scores}
  for x in evaluations:
    options = evaluate.Options((str(x['step']),))
    again = evaluate.evaluate(config, str(tmp_path), one_device, options).result
    assert again == {key: x[key] for key in again}
  before = metrics(tmp_path)
  assert follow_run(config, tmp_path, one_device) == scores
  assert metrics(tmp_path) == before


@pytest.mark.slow
def test_damaged_lines_of_metrics_are_preserved(
  config, one_device, tmp_path, caplog
):
  train(tmp_path, config, one_device)
  with open(tmp_path / 'metrics.jsonl', 'a') as file:
    file.write('{"step": 9, "spl')
  # A line that cannot be read is evaluated again, on a line of its own.
  path = tmp_path / 'metrics.jsonl'
  lines = path.read_bytes().splitlines(keepends=True)
  (eight,) = (i for i, x in enumerate(lines) if b'8, "split": "eval"' in x)
  lines[eight] = lines[eight].replace(b'loss', b'l\xefss')
  path.write_bytes(b''.join(lines))
  scores = follow_run(config, tmp_path, one_device)
  assert scores['step'] == 8
  assert f'metrics.jsonl, line {eight + 1}, is damaged' in caplog.text
  assert b'{"step": 9, "spl\n' in path.read_bytes()
  assert metrics_file.parse(path)[6, 'eval']['count'] == 360


def test_waits_while_training_runs_else_until_patience_ends(
  config, one_device, tmp_path
):
  with pytest.raises(RunError, match='no training in'):
    follow_run(config, tmp_path, one_device, patience=0.001)
  errors = []

  def wait():
    try:
      follow_run(config, tmp_path, one_device, patience=0.001)
    except RunError as error:
      errors.append(error)

  with lock.held(str(tmp_path)):
    follower = threading.Thread(target=wait)
    follower.start()
    follower.join(1)
    assert follower.is_alive()
  follower.join(30)
  assert errors


@pytest.mark.slow
def test_ends_with_a_training_that_reached_its_target(
  config, one_device, tmp_path
):
  config.stop_at_top1 = 0.01
  result = train(tmp_path, config, one_device)
  assert result['step'] == 6
  assert follow_run(config, tmp_path, one_device)['step'] == 6


@pytest.mark.slow
def test_config_of_another_network_is_refused(config, one_device, tmp_path):
  config.eval_every = '8 steps'
  train(tmp_path, config, one_device)
  config.model.width = 2.0
  with pytest.raises(UserError, match='set --config'):
    follow_run(config, tmp_path, one_device)
  assert [x['step'] for x in metrics(tmp_path, 'eval')] == [8]
