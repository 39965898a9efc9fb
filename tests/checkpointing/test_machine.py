"""A checkpoint that this machine cannot read is not taken for a damaged one."""

import builtins
import errno
import os
import shutil

import orbax.checkpoint as ocp
import pytest

from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing import digests
from inception_jax.checkpointing.checkpoint import DamagedCheckpoint
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.errors import UserError
from tests.support.checkpoints import names_in


def caused(error, cause):
  error.__cause__ = cause
  return error


OF_MACHINE = (
  *(
    OSError(number, os.strerror(number))
    for number in (errno.EIO, errno.ESTALE, errno.EACCES, errno.EMFILE)
  ),
  MemoryError(),
  RuntimeError("can't start new thread"),
  ValueError('UNAVAILABLE: bucket'),
  ValueError('RESOURCE_EXHAUSTED: out of memory'),
  ValueError("INTERNAL: reading: Input/output [os_error_code='5']"),
  caused(ValueError('cannot restore'), OSError(errno.ENODEV, 'no device')),
  ExceptionGroup('of two', [ValueError('x'), MemoryError()]),
)
OF_DAMAGE = (
  ValueError("NOT_FOUND: No such file or directory [os_error_code='2']"),
  OSError(errno.ENAMETOOLONG, 'File name too long'),
  KeyError('shape'),
  RecursionError('maximum recursion depth exceeded'),
)


@pytest.mark.parametrize(
  'call', [(ocp.Checkpointer, 'restore'), (digests, 'describe')]
)
@pytest.mark.parametrize('error', OF_MACHINE, ids=repr)
def test_errors_of_the_machine_move_nothing(
  two_checkpoints, monkeypatch, call, error
):
  def fail(*_, **__):
    raise error

  names = names_in(two_checkpoints)
  with monkeypatch.context() as patch:
    patch.setattr(*call, fail)
    with pytest.raises(UserError, match='7 cannot be read: ') as caught:
      CheckpointManager(two_checkpoints).resume()
  assert not isinstance(caught.value, DamagedCheckpoint)
  assert len(caught.value.faults) == 1
  assert names_in(two_checkpoints) == names


@pytest.mark.parametrize('error', OF_DAMAGE, ids=repr)
def test_other_errors_are_damage(two_checkpoints, monkeypatch, error):
  def fail(*_, **__):
    raise error

  monkeypatch.setattr(ocp.Checkpointer, 'restore', fail)
  with pytest.raises(DamagedCheckpoint):
    CheckpointDirectory(two_checkpoints).record(7)


def test_disk_error_that_a_library_hides_is_found(
  two_checkpoints, tmp_path, monkeypatch
):
  folder = shutil.copytree(two_checkpoints, tmp_path / 'checkpoints')

  def hide(*_, **__):
    raise ValueError('something is wrong')

  real = builtins.open

  def unreadable(path, *args, **kwargs):
    if 'checkpoints/7/' in str(path):
      raise OSError(errno.EIO, 'Input/output error')
    return real(path, *args, **kwargs)

  with monkeypatch.context() as patch:
    patch.setattr(checkpoint, '_restore_arrays', hide)
    patch.setattr(builtins, 'open', unreadable)
    with pytest.raises(UserError, match=r'7 cannot be read: \[Errno 5\]'):
      CheckpointManager(folder).resume()
  assert names_in(folder) == ['6', '7']
