"""What is kept, found, refused, and moved to other devices."""

import pathlib
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax import trees
from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.distributed import sharding
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.training.train_state import TrainState


def state_of(step, mesh, width=3):
  put = lambda x: jax.device_put(x, sharding.replicated(mesh))
  return TrainState(
    step=put(jnp.int32(step)),
    params={'w': put(jnp.full((width,), float(step)))},
    batch_stats={'mean': put(jnp.zeros((2,)))},
    opt_state=(put(jnp.ones((width,))),),
    ema=None,
  )


def abstract_of(state):
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
  )


def save_all(folder, scores, mesh, keep=2):
  with CheckpointManager(folder, keep) as checkpoints:
    for step, top1 in scores.items():
      metrics = {} if top1 is None else {'top1': top1}
      checkpoints.save(state_of(step, mesh), metrics, {})


def restore(folder, like):
  """The newest checkpoint of a folder, as a state like that."""
  _, _, arrays = CheckpointDirectory(folder).resume()
  return TrainState(**trees.restore(vars(abstract_of(like)), arrays, folder))


def steps_in(folder):
  return sorted(path.name for path in folder.iterdir())


def test_newest_and_best_are_kept(tmp_path, one_device):
  scores = {1: 0.1, 2: 0.9, 3: None, 4: 0.3, 5: None, 6: 0.2}
  save_all(tmp_path, scores, one_device)
  assert steps_in(tmp_path) == ['2', '5', '6']
  history = CheckpointDirectory(tmp_path)
  assert not history.is_best({'top1': 0.9}) and history.is_best({'top1': 0.91})
  assert history.candidates('best') == [2]
  assert history.candidates('latest') == [6, 5, 2]
  assert history.candidates('5') == [5]
  assert history.record(6)['metrics'] == {'top1': 0.2}
  with pytest.raises(UserError, match='expected latest, best, a path, or one'):
    history.candidates('4')


@pytest.mark.parametrize(('before', 'after'), [(8, 1), (1, 8), (8, 4)])
def test_restore_on_another_number_of_devices(tmp_path, before, after):
  old = sharding.make_mesh(jax.devices()[:before])
  new = sharding.make_mesh(jax.devices()[:after])
  save_all(tmp_path, {7: 0.5}, old)
  restored = restore(tmp_path, state_of(0, new))
  np.testing.assert_array_equal(restored.params['w'], [7, 7, 7])
  assert int(restored.step) == 7
  assert isinstance(restored.opt_state, tuple)
  assert restored.params['w'].sharding == sharding.replicated(new)


def test_a_part_can_be_restored_alone(tmp_path, one_device):
  save_all(tmp_path, {7: 0.5}, one_device)
  step, _, arrays = CheckpointDirectory(tmp_path).read(
    [7], lambda record: {'params'}
  )
  assert step == 7 and arrays.keys() == {'params/w'}
  np.testing.assert_array_equal(arrays['params/w'], [7, 7, 7])


def test_another_network_is_refused_and_every_difference_named(
  tmp_path, one_device
):
  save_all(tmp_path, {7: 0.5}, one_device)
  other = state_of(0, one_device, width=4)
  other = other.replace(ema={'w': jnp.zeros((4,))}, batch_stats={})
  with pytest.raises(UserError) as caught:
    restore(tmp_path, other)
  text = str(caught.value)
  assert 'params/w: (3,) in the checkpoint, (4,) here' in text
  assert 'opt_state/0: (3,) in the checkpoint, (4,) here' in text
  assert 'ema/w: not in the checkpoint, (4,) here' in text
  assert 'batch_stats/mean: (2,) in the checkpoint, not here' in text


def test_saving_a_step_twice_is_an_error(tmp_path, one_device):
  with CheckpointManager(tmp_path) as checkpoints:
    checkpoints.save(state_of(3, one_device), {}, {})
    with pytest.raises(Exception, match='3'):
      checkpoints.save(state_of(3, one_device), {}, {})


def test_best_of_what_was_never_evaluated(tmp_path, one_device):
  save_all(tmp_path, {1: None, 2: None, 3: None}, one_device)
  with pytest.raises(UserError, match='was evaluated'):
    CheckpointDirectory(tmp_path).candidates('best')


def test_many_differences_are_counted(tmp_path, one_device):
  save_all(tmp_path, {7: 0.5}, one_device)
  other = state_of(0, one_device)
  other = other.replace(params={str(i): other.params['w'] for i in range(99)})
  with pytest.raises(UserError) as caught:
    restore(tmp_path, other)
  assert len(caught.value.faults) == 22
  assert caught.value.faults[-1] == '  and 80 more'


def test_nothing_to_read(tmp_path):
  with pytest.raises(UserError, match='no checkpoint in'):
    lookup.find(str(tmp_path), 'latest')


def arrays_of(folder, step):
  return CheckpointDirectory(folder).read_one(step, checkpoint.state_fields)


@pytest.fixture(scope='module')
def two_checkpoints(tmp_path_factory, one_device):
  folder = tmp_path_factory.mktemp('checkpoints')
  save_all(folder, {6: 0.5, 7: 0.5}, one_device)
  return folder


def truncated(path, random):
  content = path.read_bytes()
  path.write_bytes(content[: random.integers(len(content))])


def flipped(path, random):
  content = bytearray(path.read_bytes())
  content[random.integers(len(content))] ^= 1 << random.integers(8)
  path.write_bytes(content)


@pytest.mark.parametrize('fault', [truncated, flipped, pathlib.Path.unlink])
def test_no_fault_of_a_file_goes_unnoticed(two_checkpoints, tmp_path, fault):
  names = [
    path.relative_to(two_checkpoints)
    for path in sorted((two_checkpoints / '7').rglob('*'))
    if path.is_file() and path.stat().st_size
  ]
  assert len(names) >= 6
  expected = arrays_of(two_checkpoints, 7)
  random = np.random.default_rng(0)
  detected = 0
  for i, name in enumerate(names):
    folder = shutil.copytree(two_checkpoints, tmp_path / str(i))
    fault(folder / name, *(random,) * (fault is not pathlib.Path.unlink))
    step, record, arrays = CheckpointDirectory(folder).resume()
    assert record['metrics'] == {'top1': 0.5}
    if step == 7:  # of what is in that file, nothing is used
      for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)
      continue
    detected += 1
    assert step == 6 and arrays['params/w'][0] == 6
    assert steps_in(folder) == ['6', '7.damaged']
  assert detected >= 3


def test_what_cannot_be_a_checkpoint_is_passed_over(two_checkpoints, tmp_path):
  folder = shutil.copytree(two_checkpoints, tmp_path / 'x')
  (folder / '9').mkdir()
  shutil.copytree(folder / '6', folder / '8')  # of another step
  (folder / '7.orbax-checkpoint-tmp').mkdir()
  (folder / '5.deleted').mkdir()
  assert CheckpointDirectory(folder).candidates('latest') == [9, 8, 7, 6]
  assert CheckpointDirectory(folder).resume()[0] == 7
  assert steps_in(folder) == ['6', '7', '8.damaged', '9.damaged']


def test_nothing_starts_anew_over_damaged_work(two_checkpoints, tmp_path):
  folder = shutil.copytree(two_checkpoints, tmp_path / 'checkpoints')
  for step in (6, 7):
    shutil.rmtree(folder / str(step) / 'record')
  for _ in range(2):  # the second time, they are still there
    assert lookup.has_checkpoints(str(tmp_path))
    with pytest.raises(UserError, match='no sound checkpoint') as caught:
      CheckpointDirectory(folder).resume()
    assert len(caught.value.faults) == 3
  for step in (6, 7):
    CheckpointDirectory(folder).set_aside(step)
  assert lookup.has_checkpoints(str(tmp_path))
  with pytest.raises(UserError, match='no sound checkpoint'):
    CheckpointDirectory(folder).resume()


def test_an_older_one_goes_only_when_the_newer_one_reads_back(
  tmp_path, one_device, monkeypatch
):
  checkpoints = CheckpointManager(tmp_path, keep=1)
  checkpoints.save(state_of(1, one_device), {}, {})
  checkpoints._wait()
  read = checkpoint.read_record
  with monkeypatch.context() as patch:
    bad = lambda path: 1 / 0 if path.name == '2' else read(path)
    patch.setattr(checkpoint, 'read_record', bad)
    checkpoints.save(state_of(2, one_device), {}, {})
    with pytest.raises(RunError, match='2 was not saved: division by zero'):
      checkpoints.close()
  assert '1' in steps_in(tmp_path)
  assert 'checkpoints/1' not in checkpoints.last_good()
  assert checkpoints.last_good().endswith('/1')


def test_a_full_disk_is_said_and_harms_nothing(tmp_path, one_device):
  save_all(tmp_path, {1: None}, one_device)
  before = arrays_of(tmp_path, 1)
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  checkpoints, state = (
    CheckpointManager(tmp_path),
    state_of(2, one_device, 9999),
  )
  resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
  try:
    checkpoints.save(state, {}, {})
    with pytest.raises(RunError, match='/2 was not saved'):
      checkpoints.close()
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert CheckpointDirectory(tmp_path).steps() == [1]
  for name, array in arrays_of(tmp_path, 1).items():
    np.testing.assert_array_equal(array, before[name])


def test_keep_every_and_best_by_loss(tmp_path, one_device):
  losses = {1: 3.0, 2: 0.5, 3: float('nan'), 4: 2.0, 5: 1.0, 6: 4.0}
  with CheckpointManager(
    tmp_path, 1, lambda s: s % 4 == 0, 'loss'
  ) as checkpoints:
    for step, loss in losses.items():
      assert checkpoints.is_best({'loss': loss}) == (step in (1, 2))
      checkpoints.save(state_of(step, one_device), {'loss': loss}, {})
  assert steps_in(tmp_path) == ['2', '4', '6']


def test_an_evaluation_can_follow_its_checkpoint(tmp_path, one_device):
  save_all(tmp_path, {1: None, 2: 0.2}, one_device)
  with CheckpointManager(tmp_path) as checkpoints:
    checkpoints.add_metrics(1, {'top1': 0.5})
    assert checkpoints.best() == 1
  history = CheckpointDirectory(tmp_path)
  assert history.candidates('best') == [1]
  assert arrays_of(tmp_path, 1)['params/w'][0] == 1


def test_another_dtype_is_refused(tmp_path, one_device):
  save_all(tmp_path, {7: 0.5}, one_device)
  other = state_of(0, one_device)
  other = other.replace(params={'w': other.params['w'].astype(jnp.bfloat16)})
  with pytest.raises(UserError, match='float32 in the checkpoint, bfloat16'):
    restore(tmp_path, other)
