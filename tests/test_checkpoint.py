"""What is kept, found, refused, and moved to other devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax import checkpoint
from inception_jax import runs
from inception_jax import sharding
from inception_jax.config import UserError
from inception_jax.state import TrainState


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
  with checkpoint.Checkpoints(folder, keep) as checkpoints:
    for step, top1 in scores.items():
      metrics = {} if top1 is None else {'top1': top1}
      checkpoints.save(state_of(step, mesh), metrics, {})


def steps_in(folder):
  return sorted(int(path.name) for path in folder.iterdir())


def test_newest_and_best_are_kept(tmp_path, one_device):
  scores = {1: 0.1, 2: 0.9, 3: None, 4: 0.3, 5: None, 6: 0.2}
  save_all(tmp_path, scores, one_device)
  assert steps_in(tmp_path) == [2, 5, 6]
  with checkpoint.Checkpoints(tmp_path) as checkpoints:
    assert checkpoints.best_score() == 0.9
    assert checkpoints.find('best') == 2
    assert checkpoints.find('latest') == 6
    assert checkpoints.find('5') == 5
    assert checkpoints.metrics(6) == {'top1': 0.2}
    with pytest.raises(
      UserError, match='expected latest, best, a path, or one'
    ):
      checkpoints.find('4')


@pytest.mark.parametrize(('before', 'after'), [(8, 1), (1, 8), (8, 4)])
def test_restore_on_another_number_of_devices(tmp_path, before, after):
  old = sharding.make_mesh(jax.devices()[:before])
  new = sharding.make_mesh(jax.devices()[:after])
  save_all(tmp_path, {7: 0.5}, old)
  with checkpoint.Checkpoints(tmp_path) as checkpoints:
    restored = checkpoints.restore_or(None, abstract_of(state_of(0, new)))
  np.testing.assert_array_equal(restored.params['w'], [7, 7, 7])
  assert int(restored.step) == 7
  assert isinstance(restored.opt_state, tuple)
  assert restored.params['w'].sharding == sharding.replicated(new)


def test_a_new_workdir_starts_anew(tmp_path, one_device):
  state = state_of(0, one_device)
  with checkpoint.Checkpoints(tmp_path / 'new') as checkpoints:
    assert checkpoints.restore_or(lambda: state, abstract_of(state)) is state
    assert checkpoints.best_score() == -1


def test_a_part_can_be_restored_alone(tmp_path, one_device):
  save_all(tmp_path, {7: 0.5}, one_device)
  wanted = {'params': abstract_of(state_of(0, one_device)).params}
  with checkpoint.Checkpoints(tmp_path) as checkpoints:
    restored = checkpoints.restore(7, wanted)
  assert restored.keys() == {'params'}
  np.testing.assert_array_equal(restored['params']['w'], [7, 7, 7])


def test_another_network_is_refused_and_every_difference_named(
  tmp_path, one_device
):
  save_all(tmp_path, {7: 0.5}, one_device)
  other = state_of(0, one_device, width=4)
  other = other.replace(ema={'w': jnp.zeros((4,))}, batch_stats={})
  with (
    checkpoint.Checkpoints(tmp_path) as checkpoints,
    pytest.raises(UserError) as caught,
  ):
    checkpoints.restore_or(None, abstract_of(other))
  text = str(caught.value)
  assert 'params/w: (3,) in the checkpoint, (4,) here' in text
  assert 'opt_state/0: (3,) in the checkpoint, (4,) here' in text
  assert 'ema/w: not in the checkpoint, (4,) here' in text
  assert 'batch_stats/mean: (2,) in the checkpoint, not here' in text


def test_saving_a_step_twice_is_an_error(tmp_path, one_device):
  with checkpoint.Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(state_of(3, one_device), {}, {})
    with pytest.raises(Exception, match='3'):
      checkpoints.save(state_of(3, one_device), {}, {})


def test_best_of_what_was_never_evaluated(tmp_path, one_device):
  save_all(tmp_path, {1: None, 2: None, 3: None}, one_device)
  with (
    checkpoint.Checkpoints(tmp_path) as checkpoints,
    pytest.raises(UserError, match='was evaluated'),
  ):
    checkpoints.find('best')


def test_many_differences_are_counted(tmp_path, one_device):
  save_all(tmp_path, {7: 0.5}, one_device)
  other = state_of(0, one_device)
  other = other.replace(params={str(i): other.params['w'] for i in range(99)})
  with (
    checkpoint.Checkpoints(tmp_path) as checkpoints,
    pytest.raises(UserError) as caught,
  ):
    checkpoints.restore_or(None, abstract_of(other))
  assert len(caught.value.faults) == 22
  assert caught.value.faults[-1] == '  and 80 more'


def test_nothing_to_read(tmp_path):
  with pytest.raises(UserError, match='no checkpoint in'):
    with runs.reading(str(tmp_path), 'latest'):
      pass
