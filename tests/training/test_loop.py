"""Training from start to end, and resuming it."""

import jax
import numpy as np
import pytest

from inception_jax.checkpointing import lookup
from inception_jax.distributed import session
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.training import trainer
from inception_jax.training.session import Session
from tests.support.checkpoints import read_with_orbax
from tests.support.runs import assert_equal_states
from tests.support.runs import metrics
from tests.support.runs import short_config
from tests.support.runs import train


class Stopped(Exception):
  """Stands for anything that ends a run between two steps."""


def stop_after(monkeypatch, steps):
  """Raises Stopped in place of the batch after `steps` batches."""
  prefetch = sharding.prefetch_to_devices

  def prefetch_and_stop(mesh, batches):
    for i, batch in enumerate(prefetch(mesh, batches)):
      if i == steps:
        raise Stopped
      yield batch

  monkeypatch.setattr(sharding, 'prefetch_to_devices', prefetch_and_stop)


@pytest.mark.parametrize(
  ('devices', 'shard'),
  [(1, False), pytest.param(8, True, marks=pytest.mark.slow)],
)
def test_resume_is_bitwise(tiny, tmp_path, monkeypatch, caplog, devices, shard):
  # Dropout, BN, EMA, aux head, shifts and colors are all on.
  assert tiny.model.dropout_rate and tiny.ema_decay and tiny.data.pad
  assert any(tiny.data.color_jitter) and tiny.model.aux_head
  mesh = sharding.make_mesh(jax.devices()[:devices])
  tiny.optimizer.shard_state = shard
  tiny.train_for = '12 steps'
  tiny.checkpoint_every = '5 steps'
  tiny.eval_every = '12 steps'
  tiny.log_every = '1 step'
  uninterrupted = train(tmp_path / 'uninterrupted', tiny, mesh)

  with monkeypatch.context() as patch, pytest.raises(Stopped):
    stop_after(patch, 7)  # two steps after the checkpoint
    train(tmp_path / 'stopped', tiny, mesh)
  assert metrics(tmp_path / 'stopped', 'train')[-1]['step'] == 7
  with caplog.at_level('INFO', 'inception_jax'):
    resumed = train(tmp_path / 'stopped', tiny, mesh)
  assert 'resuming after step 5 of 12' in caplog.text

  assert_equal_states(
    read_with_orbax(tmp_path / 'uninterrupted', 12),
    read_with_orbax(tmp_path / 'stopped', 12),
  )
  for key in ('step', 'loss', 'top1', 'top5', 'count'):
    assert uninterrupted[key] == resumed[key]
  # No step is logged twice, and each has the same loss.
  written = metrics(tmp_path / 'stopped', 'train')
  by_step = {line['step']: line for line in written}
  assert [line['step'] for line in written] == list(range(1, 13))
  for line in metrics(tmp_path / 'uninterrupted', 'train'):
    assert by_step[line['step']]['loss'] == line['loss']


@pytest.mark.slow
def test_resume_is_bitwise_while_images_grow(
  tiniest, tmp_path, one_device, monkeypatch, caplog
):
  config = tiniest
  config.data.update(grow_from=10, grow_for='9 steps', grow_stages=3)
  config.train_for = config.eval_every = '10 steps'
  config.checkpoint_every = '4 steps'
  caplog.set_level('INFO', 'inception_jax')
  train(tmp_path / 'uninterrupted', config, one_device)
  for step, size in ((1, 10), (4, 12), (7, 14), (10, 16)):
    assert f'from step {step} on, images have {size}×{size}' in caplog.text
    assert f'compiling the training step for images of {size}×{size}' in (
      caplog.text
    )
  with monkeypatch.context() as patch, pytest.raises(Stopped):
    stop_after(patch, 5)  # one step after the checkpoint, at the second size
    train(tmp_path / 'stopped', config, one_device)
  caplog.clear()
  train(tmp_path / 'stopped', config, one_device)
  assert 'from step 5 on, images have 12×12' in caplog.text
  assert 'images of 10×10' not in caplog.text  # not compiled again
  assert_equal_states(
    read_with_orbax(tmp_path / 'uninterrupted', 10),
    read_with_orbax(tmp_path / 'stopped', 10),
  )


def test_diverged_training_stops(tiniest, tmp_path, one_device):
  tiniest.train_for = '9 steps'
  tiniest.optimizer.name = 'sgd'
  tiniest.schedule.warmup = '2 steps'  # the first of them with learning rate 0
  tiniest.schedule.learning_rate = 1e30
  tiniest.checkpoint_every = '1 step'
  tiniest.ema_decay = 0.0
  with pytest.raises(FloatingPointError, match='step 2: the loss') as caught:
    train(tmp_path, tiniest, one_device)
  (good,) = (path.name for path in lookup.checkpoint_folder(tmp_path).iterdir())
  assert good == '1'
  assert (
    f'last good checkpoint is {lookup.checkpoint_folder(tmp_path) / "1"}'
    in str(caught.value)
  )


@pytest.mark.slow
def test_training_stops_at_its_target(tmp_path, one_device, caplog):
  config = short_config()
  config.stop_at_top1 = 1e-9
  with caplog.at_level('INFO', 'inception_jax'):
    result = train(tmp_path, config, one_device)
    assert result['step'] == 2 and result['top1'] > 0
    assert 'step 2 reaches stop_at_top1=1e-09' in caplog.text
    assert train(tmp_path, config, one_device) == result
  assert 'is complete: step 2 of 6' in caplog.text


def test_complete_run_is_not_trained_again(
  finished_run, one_device, monkeypatch, caplog
):
  workdir, result = finished_run
  monkeypatch.setattr(trainer.Trainer, 'compile_sizes', None)
  with caplog.at_level('INFO', 'inception_jax'):
    assert train(workdir, short_config(), one_device) == result
  assert 'is complete: step 6 of 6' in caplog.text


@pytest.mark.slow
def test_processes_meet_when_they_have_compiled(
  tiniest, tmp_path, one_device, monkeypatch
):
  done = []
  compile_sizes, next_batch = trainer.Trainer.compile_sizes, Session.next_batch

  def compiled(*arguments):
    done.append('compile')
    return compile_sizes(*arguments)

  def take_batch(session, step):
    done.append(step)
    return next_batch(session, step)

  monkeypatch.setattr(trainer.Trainer, 'compile_sizes', compiled)
  monkeypatch.setattr(Session, 'next_batch', take_batch)
  monkeypatch.setattr(session, '_meet', lambda: done.append('meeting'))
  tiniest.train_for = tiniest.eval_every = '1 step'
  train(tmp_path, tiniest, one_device)
  assert done == ['compile', 'meeting', 1]


@pytest.mark.slow
def test_longer_training_resumes_a_complete_run(run_copy, one_device):
  workdir, _ = run_copy
  config = short_config()
  config.train_for = '8 steps'
  result = train(workdir, config, one_device)
  assert result['step'] == 8
  assert [line['step'] for line in metrics(workdir, 'eval')] == [2, 4, 6, 8]


@pytest.mark.slow
def test_fine_tuning_with_a_frozen_body_changes_only_the_head(
  finished_run, one_device, tmp_path
):
  source, _ = finished_run
  config = short_config()
  config.train_for = '2 steps'
  config.fine_tune.checkpoint = str(source)
  config.fine_tune.freeze = ('!head', '*')
  config.optimizer.rates = (('head', 10.0), ('*', 1.0))
  train(tmp_path, config, one_device)
  before = read_with_orbax(source, 6)['ema']
  after = read_with_orbax(tmp_path, 2)
  for kind in ('params', 'batch_stats'):
    for (path, x), y in zip(
      jax.tree_util.tree_leaves_with_path(before[kind]),
      jax.tree.leaves(after[kind]),
      strict=True,
    ):
      name = jax.tree_util.keystr(path, simple=True, separator='/')
      if name.startswith('head/'):
        assert not np.array_equal(x, y), name
      else:
        np.testing.assert_array_equal(x, y, err_msg=name)

  config.fine_tune.freeze = ('conv_9z',)
  with pytest.raises(UserError, match="'conv_9z' matches no parameter"):
    train(tmp_path / 'other', config, one_device)
