import jax.numpy as jnp
import pytest

from inception_jax.errors import UserError
from tests.support.checkpoints import make_state
from tests.support.checkpoints import restore
from tests.support.checkpoints import save_all


@pytest.fixture(scope='module')
def folder(tmp_path_factory, one_device):
  folder = tmp_path_factory.mktemp('checkpoints')
  save_all(folder, {7: 0.5}, one_device)
  return folder


def faults(folder, like):
  with pytest.raises(UserError) as caught:
    restore(folder, like)
  return caught.value.faults


def test_restoring_another_tree_names_every_difference(folder, one_device):
  other = make_state(0, one_device, width=4)
  other |= {'ema': {'w': jnp.zeros((4,))}, 'batch_stats': {}}
  text = '\n'.join(faults(folder, other))
  assert 'params/w: (3,) in the checkpoint, (4,) here' in text
  assert 'opt_state/0: (3,) in the checkpoint, (4,) here' in text
  assert 'ema/w: not in the checkpoint, (4,) here' in text
  assert 'batch_stats/mean: (2,) in the checkpoint, not here' in text


def test_restoring_another_dtype_is_rejected(folder, one_device):
  other = make_state(0, one_device)
  other['params'] = {'w': other['params']['w'].astype(jnp.bfloat16)}
  text = '\n'.join(faults(folder, other))
  assert 'float32 in the checkpoint, bfloat16' in text


def test_long_lists_of_differences_are_shortened(folder, one_device):
  other = make_state(0, one_device)
  other['params'] = {str(i): other['params']['w'] for i in range(99)}
  lines = faults(folder, other)
  assert len(lines) == 22
  assert lines[-1] == '  and 80 more'
