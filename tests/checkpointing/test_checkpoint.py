import json
import shutil

from etils import epath
import numpy as np
import pytest

from inception_jax.buckets import run_files
from inception_jax.buckets import runs
from inception_jax.buckets.bucket import Bucket
from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing.checkpoint import DamagedCheckpoint
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.errors import RunError
from tests.support.checkpoints import file_size_limit
from tests.support.checkpoints import names_in
from tests.support.checkpoints import read_step


def truncate(path, random):
  content = path.read_bytes()
  path.write_bytes(content[: random.integers(len(content))])


def flip_a_bit(path, random):
  content = bytearray(path.read_bytes())
  content[random.integers(len(content))] ^= 1 << random.integers(8)
  path.write_bytes(content)


def remove(path, random):
  del random
  path.unlink()


@pytest.mark.parametrize('fault', [truncate, flip_a_bit, remove])
def test_every_fault_of_a_file_is_detected_or_harmless(
  two_checkpoints, tmp_path, fault
):
  names = [
    path.relative_to(two_checkpoints)
    for path in sorted((two_checkpoints / '7').rglob('*'))
    if path.is_file() and path.stat().st_size
  ]
  assert len(names) >= 6
  expected = read_step(two_checkpoints, 7)
  random = np.random.default_rng(0)
  detected = 0
  for i, name in enumerate(names):
    folder = shutil.copytree(two_checkpoints, tmp_path / str(i))
    fault(folder / name, random)
    step, record, arrays = CheckpointManager(folder).resume()
    assert record['metrics'] == {'top1': 0.5}
    if step == 7:  # the file is not used
      for array_name, array in expected.items():
        np.testing.assert_array_equal(arrays[array_name], array)
      continue
    detected += 1
    assert step == 6 and arrays['params/w'][0] == 6
    assert names_in(folder) == ['6', '7.damaged']
  assert detected >= 3


def test_orbax_files_are_where_this_project_expects_them(two_checkpoints):
  """Fails if a new orbax names or marks its files differently."""
  path = epath.Path(two_checkpoints) / '7'
  assert checkpoint.is_checkpoint(path), 'orbax renamed _CHECKPOINT_METADATA'
  assert not checkpoint.is_checkpoint(path / 'state')
  assert not checkpoint.is_unfinished(path), 'is_path_temporary'
  stored = json.loads((path / 'record' / 'metadata').read_text())
  assert stored.keys() == {'values', 'sha256'}, 'JsonCheckpointHandler'
  assert stored['values'] == checkpoint.read_record(path)


def test_interrupted_save_is_recognized(tmp_path):
  """Fails if a new orbax marks a save in progress differently."""
  folder = epath.Path(tmp_path)
  record = {'step': 3, 'metrics': {}, 'network': {}, 'config': None}
  with (
    file_size_limit(1000),
    pytest.raises(RunError, match='/3 was not saved: '),
  ):
    checkpoint.write(folder / '3', {'w': np.ones(9999)}, record)
  (leftover,) = folder.iterdir()
  assert checkpoint.is_unfinished(leftover)
  assert CheckpointDirectory(folder).steps() == []


def test_replaced_record_keeps_its_digest(two_checkpoints, tmp_path):
  path = epath.Path(shutil.copytree(two_checkpoints / '7', tmp_path / '7'))
  record = {**checkpoint.read_record(path), 'metrics': {'top1': 0.75}}
  checkpoint.write_record(path, record)
  assert checkpoint.read_record(path) == record
  file = path / 'record' / 'metadata'
  file.write_text(file.read_text().replace('0.75', '0.95'))
  with pytest.raises(DamagedCheckpoint, match='its record has changed'):
    checkpoint.read_record(path)


def test_records_of_other_programs_are_rejected(two_checkpoints, tmp_path):
  path = epath.Path(shutil.copytree(two_checkpoints / '7', tmp_path / '7'))
  checkpoint.write_record(path, {'step': 7})
  with pytest.raises(DamagedCheckpoint, match='not saved by this project'):
    checkpoint.read_record(path)


@pytest.mark.parametrize(
  'metrics', [[1], 'x', {'top1': 'x'}, {'top1': None}, {'top1': 10**400}]
)
def test_metrics_are_numbers(two_checkpoints, tmp_path, metrics):
  path = epath.Path(shutil.copytree(two_checkpoints / '7', tmp_path / '7'))
  record = checkpoint.read_record(path)
  checkpoint.write_record(path, {**record, 'metrics': metrics})
  with pytest.raises(DamagedCheckpoint):
    checkpoint.read_record(path)


def test_a_record_without_the_ranking_metric_is_no_best(
  two_checkpoints, tmp_path
):
  folder = shutil.copytree(two_checkpoints, tmp_path / 'copy')
  best = CheckpointDirectory(folder).best_step()
  path = epath.Path(folder / str(best))
  record = checkpoint.read_record(path)
  checkpoint.write_record(path, {**record, 'metrics': {'top5': 1.0}})
  assert CheckpointDirectory(folder).best_step() != best


def test_a_bucket_that_cannot_be_read_is_no_damage(
  two_checkpoints, google, monkeypatch, tmp_path
):
  url = 'gs://bucket/no-damage'
  step_of = lambda path: CheckpointManager(f'{path}/checkpoints').resume()[0]
  monkeypatch.setenv('INCEPTION_JAX_BUCKETS', str(tmp_path / 'one'))
  with runs.training(url) as path:
    shutil.copytree(two_checkpoints, f'{path}/checkpoints')
  monkeypatch.setenv('INCEPTION_JAX_BUCKETS', str(tmp_path / 'other'))
  read_all = Bucket.read_all

  def read_some(self, names):
    names = sorted(names)
    yield from read_all(self, names[:2])
    raise RunError('no network')

  with pytest.raises(RunError, match='no network'):
    with runs.training(url) as path:
      with monkeypatch.context() as patch:
        patch.setattr(Bucket, 'read_all', read_some)
        step_of(path)
  # Neither renamed nor deleted, nor taken for whole by the next start.
  with runs.training(url) as path:
    assert names_in(epath.Path(path, 'checkpoints')) == ['6', '7']
    assert step_of(path) == 7
  runs.close()
  assert not run_files.incomplete(Bucket(url).names())
