"""Free disk space."""

from inception_jax.runtime import files


def test_too_little_free_space_is_reported(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert files.check_free_space('new/folder', 1) == []
  assert files.check_free_space(str(tmp_path / 'new' / 'folder'), 1) == []
  (problem,) = files.check_free_space(str(tmp_path / 'new'), 10**18)
  assert 'GB free, 1000000000.0 are needed' in problem
