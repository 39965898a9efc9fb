"""Free disk space, and whether a folder can be written to."""

from concurrent import futures
import os
import threading

import pytest

from inception_jax.runtime import files


def test_too_little_free_space_is_reported(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert files.check_free_space('new/folder', 1) == []
  assert files.check_free_space(str(tmp_path / 'new' / 'folder'), 1) == []
  (problem,) = files.check_free_space(str(tmp_path / 'new'), 10**18)
  assert 'GB free, 1000000000.0 are needed' in problem


def test_new_folder_is_tried_without_a_trace(tmp_path):
  (tmp_path / 'file').touch()
  assert not files.cannot_write(str(tmp_path))
  assert not files.cannot_write(str(tmp_path / 'new' / 'run'))
  for path in (tmp_path / 'file', tmp_path / 'file' / 'run'):
    assert files.cannot_write(str(path)) == f'{path}: Not a directory'
  name = tmp_path / ('x' * 300) / 'run'
  assert files.cannot_write(str(name)) == f'{name}: File name too long'
  assert os.listdir(tmp_path) == ['file']


@pytest.mark.parametrize(
  'paths', [['new/run'] * 8, [f'new/{i}' for i in range(8)]]
)
def test_commands_that_try_a_new_folder_together_do_not_disturb(
  tmp_path, paths
):
  barrier = threading.Barrier(len(paths))

  def cannot_write(path):
    faults = []
    for _ in range(20):
      barrier.wait()
      faults.append(files.cannot_write(str(tmp_path / path)))
    return faults

  with futures.ThreadPoolExecutor(len(paths)) as pool:
    for faults in pool.map(cannot_write, paths):
      assert not any(faults)
  assert not os.listdir(tmp_path)
