import errno
import os
import shutil

import pytest

from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from tests.support.checkpoints import make_state
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


@pytest.mark.parametrize(
  ('name', 'readable', 'reason'),
  [
    ('run[1]', True, r'orbax takes \[ for a pattern'),
    ('**', True, r'orbax takes \*\* for a pattern'),
    (r'run\1', False, 'orbax takes a backslash for a slash'),
    ('run\udcff', False, 'not UTF-8'),
  ],
)
def test_a_name_that_orbax_misunderstands_is_no_damage(
  name, readable, reason, two_checkpoints, tmp_path
):
  folder = shutil.copytree(two_checkpoints, tmp_path / name / 'checkpoints')
  before = names_in(folder)
  with pytest.raises(UserError, match=reason):
    CheckpointManager(folder)
  if readable:
    assert CheckpointDirectory(folder).newest_record()
  else:
    with pytest.raises(UserError, match=reason):
      CheckpointDirectory(folder)
  assert names_in(folder) == before
  assert os.listdir(tmp_path) == [name]  # and nothing beside it


def test_any_other_name_holds_checkpoints(tmp_path, one_device):
  folder = tmp_path / 'a b%41%{x}*?#~$HOME\'"|;&=:\n狗' / 'checkpoints'
  save_all(folder, {7: 0.5}, one_device)
  assert CheckpointManager(folder).resume()[0] == 7


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
  assert CheckpointManager(folder).resume()[0] == 7
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
      CheckpointManager(folder).resume()
    assert len(caught.value.faults) == 3
  for step in (6, 7):
    CheckpointDirectory(folder).mark_damaged(step)
  assert lookup.has_checkpoints(str(tmp_path))
  with pytest.raises(UserError, match='no sound checkpoint'):
    CheckpointManager(folder).resume()


def test_what_is_not_of_this_project_is_named_once_and_left_alone(
  two_checkpoints, tmp_path, one_device, caplog
):
  folder = shutil.copytree(two_checkpoints, tmp_path / 'checkpoints')
  others = ('0008', '٨', '8 ', '-8', '8.orbax-checkpoint-tmp', 'x.deleted')
  others += ('8.deleted', 'x.damaged', 'notes\n.txt', '.hidden')
  for i, name in enumerate(others):
    if i % 2:
      shutil.copytree(two_checkpoints / '6', folder / name)
    else:
      (folder / name).touch()
  (folder / '8.deleted').unlink()
  (folder / '8.deleted').symlink_to(two_checkpoints)
  shutil.rmtree(folder / '8.orbax-checkpoint-tmp', ignore_errors=True)
  before = names_in(folder)
  for step in (7, 8, 9):
    caplog.clear()
    with CheckpointManager(folder, keep_latest=1) as checkpoints:
      assert checkpoints.resume()[0] == step
      (line,) = [x for x in caplog.messages if 'left alone' in x]
      assert "'0008'" in line and r"'notes\n.txt'" in line
      checkpoints.save(make_state(step + 1, one_device), {}, {})
  gone = {'7', '8.orbax-checkpoint-tmp'}  # 6 is the best one
  assert {*names_in(folder)} == {*before, '10'} - gone
  assert len(list((folder / '8.deleted').iterdir())) == 2


def test_folder_of_others_only_is_no_run_unless_it_may_be_one(tmp_path):
  assert CheckpointManager(tmp_path / 'checkpoints').resume() is None
  (tmp_path / 'checkpoints').mkdir()
  (tmp_path / 'checkpoints' / 'notes.txt').touch()
  assert CheckpointManager(tmp_path / 'checkpoints').resume() is None
  assert not lookup.has_checkpoints(str(tmp_path))
  (tmp_path / 'checkpoints' / '0008').mkdir()
  assert lookup.has_checkpoints(str(tmp_path))
  with pytest.raises(UserError, match='no sound checkpoint in'):
    CheckpointManager(tmp_path / 'checkpoints').resume()


@pytest.mark.parametrize('damaged', [False, True])
def test_linked_checkpoint_is_read_and_never_deleted(
  two_checkpoints, tmp_path, one_device, caplog, damaged
):
  elsewhere = shutil.copytree(two_checkpoints, tmp_path / 'elsewhere')
  folder = tmp_path / 'checkpoints'
  folder.mkdir()
  shutil.copytree(elsewhere / '6', folder / '6')
  (folder / '7').symlink_to(elsewhere / '7')
  if damaged:
    shutil.rmtree(elsewhere / '7' / 'record')
  before = sorted(elsewhere.rglob('*'))
  with CheckpointManager(folder, keep_latest=1) as checkpoints:
    step, *_ = checkpoints.resume()
    assert step == 7 - damaged
    assert 'checkpoints/7 is a link' in caplog.text
    for new in (8, 9):
      checkpoints.save(make_state(new, one_device), {}, {})
  assert names_in(folder) == ['6', '7.damaged' if damaged else '7', '9']
  assert sorted(elsewhere.rglob('*')) == before


def test_names_of_files_and_dangling_links_do_not_stop_a_save(
  two_checkpoints, tmp_path, one_device
):
  folder = shutil.copytree(two_checkpoints, tmp_path / 'checkpoints')
  (folder / '5').touch()
  (folder / '8').touch()
  (folder / '9').symlink_to('nowhere')
  (folder / '9.damaged').symlink_to('nowhere')
  with CheckpointManager(folder, keep_latest=1) as checkpoints:
    assert checkpoints.resume()[0] == 7
    for step in (8, 9):
      checkpoints.save(make_state(step, one_device), {}, {})
  renamed = ['8.damaged', '9.damaged-2']
  assert names_in(folder) == sorted(['5', '6', '9', '9.damaged', *renamed])


@pytest.mark.parametrize('number', [errno.EIO, errno.ESTALE, errno.EACCES])
def test_folder_that_cannot_be_read_is_not_taken_for_a_missing_one(
  two_checkpoints, tmp_path, monkeypatch, number
):
  shutil.copytree(two_checkpoints, tmp_path / 'checkpoints')

  def fail(path, *_, **__):
    raise OSError(number, os.strerror(number), path)

  for name in ('listdir', 'stat', 'lstat'):
    monkeypatch.setattr(os, name, fail)
  reason = f'cannot be read: {os.strerror(number)}'
  with pytest.raises(UserError, match=reason):
    lookup.has_checkpoints(str(tmp_path))
  with pytest.raises(UserError, match=reason):
    lookup.find(str(tmp_path), 'latest')


@pytest.mark.parametrize('call', ['rename', 'rmtree'])
def test_folder_that_cannot_be_changed_is_one_line(
  two_checkpoints, tmp_path, monkeypatch, call
):
  folder = shutil.copytree(two_checkpoints, tmp_path / 'checkpoints')
  shutil.rmtree(folder / '7' / 'record')
  (folder / '5.deleted').mkdir()

  def fail(*_, **__):
    raise OSError(errno.EROFS, 'Read-only file system')

  with monkeypatch.context() as patch:
    patch.setattr(os if call == 'rename' else shutil, call, fail)
    with pytest.raises(RunError, match='cannot be changed: Read-only file sy'):
      CheckpointManager(folder).resume()
  assert CheckpointManager(folder).resume()[0] == 6


def test_checkpoint_that_cannot_be_deleted_does_not_end_a_training(
  tmp_path, one_device, monkeypatch, caplog
):
  def fail(*_, **__):
    raise OSError(errno.EBUSY, 'Device or resource busy')

  with monkeypatch.context() as patch:
    patch.setattr(shutil, 'rmtree', fail)
    save_all(tmp_path, {1: None, 2: None, 3: None}, one_device, keep_latest=1)
  assert '1.deleted was not deleted: Device or resource busy' in caplog.text
  assert names_in(tmp_path) == ['1.deleted', '2.deleted', '3']
  CheckpointManager(tmp_path).resume()
  assert names_in(tmp_path) == ['3']
