import shutil

import pytest

from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.errors import UserError
from tests.support.checkpoints import names_in
from tests.support.checkpoints import save_all


def test_candidates_and_metrics(tmp_path, one_device):
  top1 = {1: 0.1, 2: 0.9, 3: None, 4: 0.3, 5: None, 6: 0.2}
  save_all(tmp_path, top1, one_device)
  directory = CheckpointDirectory(tmp_path)
  assert not directory.is_new_best({'top1': 0.9})
  assert directory.is_new_best({'top1': 0.91})
  assert not directory.is_new_best({})
  assert directory.candidates('best') == [2]
  assert directory.candidates('latest') == [6, 5, 2]
  assert directory.candidates('5') == [5]
  assert directory.record(6)['metrics'] == {'top1': 0.2}
  with pytest.raises(UserError, match='expected latest, best, a path, or one'):
    directory.candidates('4')


def test_best_needs_an_evaluation(tmp_path, one_device):
  save_all(tmp_path, {1: None, 2: None, 3: None}, one_device)
  with pytest.raises(UserError, match='was evaluated'):
    CheckpointDirectory(tmp_path).candidates('best')


def test_fields_can_be_read_alone(tmp_path, one_device):
  save_all(tmp_path, {7: 0.5}, one_device)
  step, _, arrays = CheckpointDirectory(tmp_path).read_first_sound(
    [7], lambda record: {'params'}
  )
  assert step == 7 and arrays.keys() == {'params/w'}
  assert arrays['params/w'].tolist() == [7, 7, 7]


def test_invalid_checkpoints_are_skipped_and_leftovers_deleted(
  two_checkpoints, tmp_path
):
  folder = shutil.copytree(two_checkpoints, tmp_path / 'x')
  (folder / '9').mkdir()
  shutil.copytree(folder / '6', folder / '8')  # a record of another step
  (folder / '7.orbax-checkpoint-tmp').mkdir()
  (folder / '5.deleted').mkdir()
  assert CheckpointDirectory(folder).candidates('latest') == [9, 8, 7, 6]
  assert CheckpointDirectory(folder).newest_record()[0] == 7
  assert CheckpointDirectory(folder).resume()[0] == 7
  assert names_in(folder) == ['6', '7', '8.damaged', '9.damaged']


def test_damaged_checkpoints_of_one_step_get_distinct_names(
  two_checkpoints, tmp_path
):
  folder = shutil.copytree(two_checkpoints, tmp_path / 'x')
  for expected in ('6.damaged', '6.damaged-2'):
    (folder / '6').mkdir(exist_ok=True)
    directory = CheckpointDirectory(folder)
    assert directory.mark_damaged(6).name == expected
    assert directory.steps() == [7]


def test_run_does_not_restart_if_every_checkpoint_is_damaged(
  two_checkpoints, tmp_path
):
  folder = shutil.copytree(two_checkpoints, tmp_path / 'checkpoints')
  for step in (6, 7):
    shutil.rmtree(folder / str(step) / 'record')
  for _ in range(2):  # the first time must not rename them
    assert lookup.has_checkpoints(str(tmp_path))
    with pytest.raises(UserError, match='no sound checkpoint') as caught:
      CheckpointDirectory(folder).resume()
    assert len(caught.value.faults) == 3
  for step in (6, 7):
    CheckpointDirectory(folder).mark_damaged(step)
  assert lookup.has_checkpoints(str(tmp_path))
  with pytest.raises(UserError, match='no sound checkpoint'):
    CheckpointDirectory(folder).resume()
