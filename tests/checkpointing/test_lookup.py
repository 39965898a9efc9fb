import shutil

import pytest

from inception_jax.checkpointing import lookup
from inception_jax.errors import UserError


def test_missing_checkpoint_is_an_error(tmp_path):
  with pytest.raises(UserError, match='no checkpoint in'):
    lookup.find(str(tmp_path), 'latest')
  assert not lookup.has_checkpoints(str(tmp_path))


def test_checkpoints_are_found_by_step_and_by_path(two_checkpoints, tmp_path):
  folder = shutil.copytree(two_checkpoints, tmp_path / 'checkpoints')
  assert lookup.has_checkpoints(str(tmp_path))
  directory, steps = lookup.find(str(tmp_path), 'latest')
  assert directory.path(7) == folder / '7' and steps == [7, 6]
  directory, steps = lookup.find('', str(folder / '6'))
  assert directory.path(6) == folder / '6' and steps == [6]


def test_paths_are_told_from_steps(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for name in ('latest', '7', 'v4.ckpt'):
    (tmp_path / name).touch()
  assert [
    which
    for which in ('latest', 'best', '7', '99', './7', 'v4.ckpt', 'missing.ckpt')
    if lookup.is_path(which)
  ] == ['./7', 'v4.ckpt']
