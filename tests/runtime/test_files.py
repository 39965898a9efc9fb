"""Regular files, free disk space, and whether a folder can be written to."""

from concurrent import futures
import os
import pathlib
import socket
import threading

from etils import epath
import pytest

from inception_jax.errors import UserError
from inception_jax.runtime import files
from tests.support.checkpoints import file_size_limit


def test_only_regular_files_are_read(tmp_path):
  path = tmp_path / 'a'
  path.write_bytes(b'abc')
  (tmp_path / 'link').symlink_to('a')
  assert (
    files.read(tmp_path / 'link') == files.read(os.fsencode(path)) == b'abc'
  )
  os.mkfifo(tmp_path / 'pipe')
  (tmp_path / 'link to pipe').symlink_to('pipe')
  (tmp_path / 'loop').symlink_to('loop')
  with socket.socket(socket.AF_UNIX) as listening:
    listening.bind(str(tmp_path / 'socket'))
  reading, writing = os.pipe()  # what a shell's <(…) is
  others = {
    'pipe': 'not a regular file',
    'link to pipe': 'not a regular file',
    'socket': 'not a regular file',
    '/dev/zero': 'not a regular file',
    f'/dev/fd/{reading}': 'not a regular file',
    '.': 'a folder',
    'loop': 'symbolic links',
    'gone': 'No such file',
  }
  for name, reason in others.items():
    with pytest.raises(OSError, match=reason):
      files.read(tmp_path / name)
    (fault,) = files.cannot_read([path, tmp_path / name])
    assert reason in fault and str(tmp_path / name) in fault
  os.close(reading)
  os.close(writing)
  with pytest.raises(OSError, match='3 bytes are too many'):
    files.read(path, limit=2)


def test_what_is_put_in_the_place_of_a_file_is_not_read(tmp_path, monkeypatch):
  path = tmp_path / 'a'
  path.touch()
  looked_at = os.stat(path)
  path.unlink()
  os.mkfifo(path)
  before = len(os.listdir('/proc/self/fd'))
  with monkeypatch.context() as patched:
    patched.setattr(os, 'stat', lambda path: looked_at)
    with pytest.raises(OSError, match='not a regular file'):
      files.read(path)
  assert len(os.listdir('/proc/self/fd')) == before


def test_two_commands_that_make_the_same_file_do_not_disturb_each_other(
  tmp_path,
):
  # Both in one process, as those of two containers have the same number.
  path = tmp_path / f'{"x" * 240}.onnx'  # the longest name but ten
  with files.atomic_path(str(path)) as first:
    with pytest.raises(ZeroDivisionError):
      with files.atomic_path(str(path)) as second:
        pathlib.Path(first).write_text('first')
        pathlib.Path(second).write_text('second')
        assert first.endswith('.onnx')
        raise ZeroDivisionError
  assert path.read_text() == 'first'
  other = str(tmp_path / 'folder')
  with pytest.raises(UserError, match='made by another command'):
    with files.atomic_path(other) as unfinished:
      os.makedirs(os.path.join(unfinished, 'of this one'))
      os.mkdir(other)
  assert not os.listdir(other)
  with files.atomic_path(str(path), replace=True) as unfinished:
    pathlib.Path(unfinished).write_text('third')
  assert path.read_text() == 'third'
  assert sorted(os.listdir(tmp_path)) == ['folder', path.name]


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


@pytest.mark.parametrize('path', ['x' * 5000, 'x/' * 2000, '/proc/x'])
def test_paths_that_no_disk_takes_are_reported(tmp_path, monkeypatch, path):
  monkeypatch.chdir(tmp_path)
  assert files.cannot_write(path)
  assert not list(tmp_path.iterdir())


def test_text_of_undecodable_names_is_written(tmp_path):
  files.atomic_write(epath.Path(tmp_path) / 'x', 'ü caf\udce9')
  assert (tmp_path / 'x').read_text() == r'ü caf\udce9'


def test_a_full_disk_is_named_and_gets_no_half_files(tmp_path):
  with file_size_limit(1000):
    with pytest.raises(OSError, match='File too large') as caught:
      files.atomic_write(epath.Path(tmp_path / 'a'), b'x' * 2000)
    assert caught.value.filename == str(tmp_path / 'a')
    with pytest.raises(OSError, match='File too large') as caught:
      with files.atomic_path(str(tmp_path / 'b')) as path:
        with open(path, 'wb', buffering=0) as file:
          while True:
            file.write(b'x' * 500)
    assert caught.value.filename == str(tmp_path / 'b')
  assert not os.listdir(tmp_path)
