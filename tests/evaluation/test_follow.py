"""An evaluation that follows a training."""

import json
import threading

import pytest

from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluate
from inception_jax.evaluation import follow
from inception_jax.runtime import lock
from inception_jax.training import loop
from tests.conftest import tiniest_config


@pytest.fixture
def config():
  config = tiniest_config()
  config.train_for = '8 steps'
  config.checkpoint_every = '2 steps'
  config.eval_every = config.log_every = '6 steps'
  config.checkpoint_keep = 9
  return config


@pytest.fixture(autouse=True)
def quick(monkeypatch):
  monkeypatch.setattr(follow, 'POLL_SECONDS', 0.05)


def lines(workdir):
  text = (workdir / 'metrics.jsonl').read_text()
  return [json.loads(line) for line in text.splitlines()]


def followed(config, workdir, mesh, patience=1.0):
  return follow.follow(config, str(workdir), mesh, patience)


def test_evaluates_each_checkpoint_once_while_it_trains(
  config, one_device, tmp_path
):
  found = {}
  follower = threading.Thread(
    target=lambda: found.update(followed(config, tmp_path, one_device))
  )
  follower.start()  # before there is anything
  result = loop.train(config, str(tmp_path), one_device)
  follower.join(60)
  assert not follower.is_alive()
  evaluations = [x for x in lines(tmp_path) if x['split'] == 'eval']
  assert sorted(x['step'] for x in evaluations) == [2, 4, 6, 8]
  # Of steps 6 and 8, the training's own.
  assert [x['step'] for x in evaluations if 'images_per_sec' in x] == [6, 8]
  assert found == {key: result[key] for key in found}
  for x in evaluations:
    options = evaluate.Options((str(x['step']),))
    again = evaluate.evaluate(config, str(tmp_path), one_device, options).result
    assert again == {key: x[key] for key in again}
  before = lines(tmp_path)
  assert followed(config, tmp_path, one_device) == found
  assert lines(tmp_path) == before


def test_a_line_that_is_being_written_is_left_alone(
  config, one_device, tmp_path
):
  loop.train(config, str(tmp_path), one_device)
  with open(tmp_path / 'metrics.jsonl', 'a') as file:
    file.write('{"step": 9, "spl')
  followed(config, tmp_path, one_device)
  assert '{"step": 9, "spl' in (tmp_path / 'metrics.jsonl').read_text()


def test_waits_for_a_training_and_not_for_ever(config, one_device, tmp_path):
  with pytest.raises(RunError, match='no training in'):
    followed(config, tmp_path, one_device, patience=0.001)
  ended = []

  def wait():
    try:
      followed(config, tmp_path, one_device, patience=0.001)
    except RunError as error:
      ended.append(error)

  with lock.held(str(tmp_path)):
    follower = threading.Thread(target=wait)
    follower.start()
    follower.join(1)
    assert follower.is_alive()
  follower.join(30)
  assert ended


def test_ends_with_a_training_that_was_good_enough(
  config, one_device, tmp_path
):
  config.stop_at_top1 = 0.01
  result = loop.train(config, str(tmp_path), one_device)
  assert result['step'] == 6
  assert followed(config, tmp_path, one_device)['step'] == 6


def test_another_network_is_refused(config, one_device, tmp_path):
  config.eval_every = '8 steps'
  loop.train(config, str(tmp_path), one_device)
  config.model.width = 2.0
  with pytest.raises(UserError, match='set --config'):
    followed(config, tmp_path, one_device)
  assert [x['step'] for x in lines(tmp_path) if x['split'] == 'eval'] == [8]
