import os

import jax
import numpy as np
import pytest

from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing import contents
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.distributed import sharding
from inception_jax.errors import RunError
from tests.support.checkpoints import file_size_limit
from tests.support.checkpoints import make_state
from tests.support.checkpoints import names_in
from tests.support.checkpoints import read_step
from tests.support.checkpoints import restore
from tests.support.checkpoints import save_all


def test_newest_and_best_are_kept(tmp_path, one_device):
  top1 = {1: 0.1, 2: 0.9, 3: None, 4: 0.3, 5: None, 6: 0.2}
  save_all(tmp_path, top1, one_device)
  assert names_in(tmp_path) == ['2', '5', '6']


def test_earliest_of_equally_good_checkpoints_is_kept(tmp_path, one_device):
  save_all(tmp_path, {1: 0.5, 2: 0.5, 3: 0.5}, one_device, keep_latest=1)
  assert names_in(tmp_path) == ['1', '3']


def test_keep_always_and_best_by_loss(tmp_path, one_device):
  losses = {1: 3.0, 2: 0.5, 3: float('nan'), 4: 2.0, 5: 1.0, 6: 4.0}
  with CheckpointManager(
    tmp_path, 1, lambda s: s % 4 == 0, 'loss'
  ) as checkpoints:
    for step, loss in losses.items():
      assert checkpoints.is_new_best({'loss': loss}) == (step in (1, 2))
      checkpoints.save(make_state(step, one_device), {'loss': loss}, {})
  assert names_in(tmp_path) == ['2', '4', '6']


def test_the_best_is_found_by_what_the_run_ranks_by(tmp_path, one_device):
  scores = {
    1: {'top1': 0.5, 'balanced_accuracy': 0.2},
    2: {'top1': 0.4, 'balanced_accuracy': 0.3},
  }
  for ranked_by, best in (('balanced_accuracy', 2), ('top1', 1), ('?', 1)):
    folder = tmp_path / f'by_{ranked_by}'
    with CheckpointManager(folder) as checkpoints:
      for step, metrics in scores.items():
        config = {'best_by': ranked_by}
        checkpoints.save(make_state(step, one_device), metrics, {}, config)
    assert CheckpointDirectory(folder).candidates('best') == [best]


@pytest.mark.parametrize(('before', 'after'), [(8, 1), (1, 8), (8, 4)])
def test_restore_on_another_number_of_devices(tmp_path, before, after):
  old = sharding.make_mesh(jax.devices()[:before])
  new = sharding.make_mesh(jax.devices()[:after])
  save_all(tmp_path, {7: 0.5}, old)
  restored = restore(tmp_path, make_state(0, new))
  np.testing.assert_array_equal(restored['params']['w'], [7, 7, 7])
  assert int(restored['step']) == 7
  assert isinstance(restored['opt_state'], tuple)
  assert restored['params']['w'].sharding == sharding.replicated(new)


def test_saving_a_step_twice_is_an_error(tmp_path, one_device):
  with CheckpointManager(tmp_path) as checkpoints:
    checkpoints.save(make_state(3, one_device), {}, {})
    with pytest.raises(RuntimeError, match='a checkpoint of step 3 already'):
      checkpoints.save(make_state(3, one_device), {}, {})


def test_old_checkpoint_is_deleted_only_after_the_new_one_is_read_back(
  tmp_path, one_device, monkeypatch
):
  checkpoints = CheckpointManager(tmp_path, keep_latest=1)
  checkpoints.save(make_state(1, one_device), {}, {})
  checkpoints._wait()
  read = checkpoint.read_record
  with monkeypatch.context() as patch:
    fail = lambda path: 1 / 0 if path.name == '2' else read(path)
    patch.setattr(checkpoint, 'read_record', fail)
    checkpoints.save(make_state(2, one_device), {}, {})
    with pytest.raises(RunError, match='2 was not saved: division by zero'):
      checkpoints.close()
  assert '1' in names_in(tmp_path)
  assert 'checkpoints/1' not in checkpoints.last_good_message()
  assert checkpoints.last_good_message().endswith('/1')


def test_old_checkpoint_is_deleted_only_after_the_new_one_is_synced(
  tmp_path, one_device, monkeypatch
):
  """Else neither may be there after a power loss."""
  folder = tmp_path / 'checkpoints'
  lines = tmp_path / 'metrics.jsonl'
  synced, missing = set(), []

  def free_name(path, suffix):
    new = folder / str(int(path.name) + 1)
    needed = {*new.rglob('*'), new, folder, lines, tmp_path}
    missing.append({*map(str, needed)} - synced)
    return path.with_name(path.name + suffix)

  fsync = os.fsync

  def record(descriptor):
    synced.add(os.readlink(f'/proc/self/fd/{descriptor}'))
    fsync(descriptor)

  monkeypatch.setattr(os, 'fsync', record)
  monkeypatch.setattr(contents, 'free_name', free_name)
  lines.touch()
  with CheckpointManager(folder) as checkpoints:
    for step in (1, 2):
      synced.clear()
      state = make_state(step, one_device)
      checkpoints.save(state, {'top1': step / 10}, {}, {'seed': 0})
    synced.clear()
    checkpoints.add_metrics(2, {'top1': 0.4})
  assert missing == [set()]
  assert str(folder / '2' / 'record' / 'metadata') in synced


def test_error_of_a_finished_save_is_raised_without_waiting(
  tmp_path, one_device, monkeypatch
):
  def fail(*_):
    raise RunError('no space')

  monkeypatch.setattr(checkpoint, 'write', fail)
  checkpoints = CheckpointManager(tmp_path)
  checkpoints.check_for_errors()
  checkpoints.save(make_state(1, one_device), {}, {})
  checkpoints._executor.submit(lambda: None).result()  # the save is done
  with pytest.raises(RunError, match='no space'):
    checkpoints.check_for_errors()
  assert checkpoints.last_good_message() == 'there is no earlier checkpoint'
  checkpoints.close()


def test_full_disk_is_reported_and_damages_nothing(
  tmp_path, one_device, caplog
):
  save_all(tmp_path, {1: None}, one_device)
  before = read_step(tmp_path, 1)
  checkpoints = CheckpointManager(tmp_path)
  state = make_state(2, one_device, width=9999)
  with file_size_limit(1000):
    checkpoints.save(state, {}, {})
    with pytest.raises(RunError, match=r'/2 was not saved: File too large$'):
      checkpoints.close()
  assert not [x for x in caplog.records if x.exc_info]
  assert CheckpointDirectory(tmp_path).steps() == [1]
  for name, array in read_step(tmp_path, 1).items():
    np.testing.assert_array_equal(array, before[name])


def test_metrics_can_be_added_later(tmp_path, one_device):
  save_all(tmp_path, {1: None, 2: 0.2}, one_device)
  with CheckpointManager(tmp_path) as checkpoints:
    checkpoints.add_metrics(1, {'top1': 0.5})
    assert checkpoints.best_step() == 1
  directory = CheckpointDirectory(tmp_path)
  assert directory.candidates('best') == [1]
  assert read_step(tmp_path, 1)['params/w'][0] == 1


def test_a_best_checkpoint_that_metrics_replace_later_is_deleted(
  tmp_path, one_device
):
  save_all(tmp_path, {1: 0.2, 2: None}, one_device, keep_latest=1)
  assert names_in(tmp_path) == ['1', '2']
  with CheckpointManager(tmp_path, keep_latest=1) as checkpoints:
    checkpoints.add_metrics(2, {'top1': 0.1})
    assert checkpoints.steps() == [1, 2]
    checkpoints.add_metrics(2, {'top1': 0.3})
    assert checkpoints.steps() == [2] and checkpoints.best_step() == 2
  assert names_in(tmp_path) == ['2']
