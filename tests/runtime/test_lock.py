"""The lock of a workdir."""

import errno
import fcntl
import os

import pytest

from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.runtime import lock


def test_workdir_is_locked_against_a_second_training(tmp_path):
  workdir = str(tmp_path / 'run')
  with lock.held(workdir) as check:
    check()
    with pytest.raises(UserError, match=f'in use .* process {os.getpid()} on'):
      with lock.held(workdir):
        pass
    (tmp_path / 'run').rename(tmp_path / 'moved')
    with pytest.raises(RunError, match='was deleted'):
      check()
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / '.lock').touch()
    with pytest.raises(RunError, match='was replaced'):
      check()
  with lock.held(str(tmp_path / 'moved')):
    pass


def test_in_use_does_not_disturb_the_lock(tmp_path):
  assert not lock.in_use(str(tmp_path))
  with lock.held(str(tmp_path)):
    assert lock.in_use(str(tmp_path))
    with pytest.raises(UserError, match='in use'):
      with lock.held(str(tmp_path)):
        pass
  assert not lock.in_use(str(tmp_path))


@pytest.mark.parametrize('number', [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_file_system_without_locks_is_a_warning(
  tmp_path, monkeypatch, caplog, number
):
  def flock(*_):
    raise OSError(number, os.strerror(number))

  monkeypatch.setattr(fcntl, 'flock', flock)
  with lock.held(str(tmp_path)) as check:
    check()
    assert f'{tmp_path} cannot be locked ({os.strerror(number)})' in caplog.text
    assert not lock.in_use(str(tmp_path))
    with lock.held(str(tmp_path)) as check_second:
      # The one that started first ends before it saves anything more.
      with pytest.raises(RunError, match='another training has started'):
        check()
      check_second()


@pytest.mark.parametrize('call', ['flock', 'makedirs', 'fstat'])
@pytest.mark.parametrize('number', [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_error_of_the_disk_is_one_line(tmp_path, monkeypatch, call, number):
  def fail(*_, **__):
    raise OSError(number, os.strerror(number))

  with monkeypatch.context() as patch:
    patch.setattr(fcntl if call == 'flock' else os, call, fail)
    with pytest.raises(RunError, match=f'cannot be .*: {os.strerror(number)}'):
      with lock.held(str(tmp_path)):
        pass
  with lock.held(str(tmp_path)) as check:
    check()
    (tmp_path / '.lock').unlink()
    (tmp_path / '.lock').mkdir()
    with pytest.raises(RunError, match='cannot be read: Is a directory'):
      check()
