"""A checkpoint that was copied from another run is noticed."""

import shutil

from etils import epath
import pytest

from inception_jax.checkpointing import identity
from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.errors import UserError
from tests.support.checkpoints import make_state
from tests.support.checkpoints import names_in


def train(workdir, steps, mesh):
  """Resumes a run, and saves these steps; returns the step resumed from."""
  folder = lookup.checkpoint_folder(str(workdir))
  with CheckpointManager(folder, keep_latest=9) as checkpoints:
    found = checkpoints.resume()
    for step in steps:
      checkpoints.save(make_state(step, mesh), {}, {}, {'seed': 0})
  return found and found[0]


@pytest.fixture
def runs(tmp_path, one_device):
  """Two runs of the same network and config, with steps 1 and 2."""
  for name in ('a', 'b'):
    train(tmp_path / name, [1, 2], one_device)
  return tmp_path / 'a', tmp_path / 'b'


def swap(a, b):
  shutil.rmtree(a)
  shutil.copytree(b, a)


@pytest.mark.parametrize('part', ['checkpoints', 'checkpoints/2'])
def test_checkpoint_of_another_run_is_refused(runs, one_device, caplog, part):
  a, b = runs
  swap(a / part, b / part)
  before = sorted(a.rglob('*'))
  with pytest.raises(UserError, match='/2 was saved by another run') as caught:
    train(a, [], one_device)
  assert f'remove {a}/run_id to continue from it' in str(caught.value)
  assert sorted(a.rglob('*')) == before
  # An evaluation says so.
  directory = CheckpointDirectory(a / 'checkpoints')
  assert directory.read_first_sound([2], lambda r: {'step'})[0] == 2
  assert '/2 was saved by another run' in caplog.text
  (a / 'run_id').unlink()
  assert train(a, [3], one_device) == 2
  assert (a / 'run_id').read_text() == (b / 'run_id').read_text()


def test_copied_and_moved_runs_stay_the_same(runs, one_device, caplog):
  a, b = runs
  assert (a / 'run_id').read_text() != (b / 'run_id').read_text()
  shutil.copytree(a, a.with_name('copy'))
  assert train(a.with_name('copy'), [3], one_device) == 2
  shutil.copytree(a / 'checkpoints', a.with_name('new') / 'checkpoints')
  assert train(a.with_name('new'), [3], one_device) == 2
  assert not caplog.text


@pytest.mark.parametrize(
  'content', [b'', b'\xff\x00', b'[]', b'{"values": 1}', b'[' * 100_000]
)
def test_damaged_identity_is_named_and_restored(
  runs, one_device, caplog, content
):
  a, _ = runs
  before = (a / 'run_id').read_bytes()
  (a / 'run_id').write_bytes(content)
  assert train(a, [3], one_device) == 2
  assert 'run_id cannot be read: ' in caplog.text
  assert (a / 'run_id').read_bytes() == before


def test_flipped_bit_of_an_identity_is_no_other_run(runs):
  a, _ = runs
  workdir = epath.Path(a)
  own, before = identity.read(workdir), (a / 'run_id').read_bytes()
  assert len(own) == 32
  for i in range(len(before)):
    damaged = bytearray(before)
    damaged[i] ^= 1
    (a / 'run_id').write_bytes(damaged)
    assert identity.read(workdir) in ('', own)


def test_checkpoints_without_an_identity_are_accepted(tmp_path, one_device):
  folder = tmp_path / 'checkpoints'
  with CheckpointManager(folder) as checkpoints:
    checkpoints.save(make_state(1, one_device), {}, {})  # no run: no config
  assert names_in(tmp_path) == ['checkpoints']
  assert train(tmp_path, [2], one_device) == 1
  assert names_in(tmp_path) == ['checkpoints', 'run_id']
  shutil.rmtree(folder / '2')
  assert train(tmp_path, [2], one_device) == 1
