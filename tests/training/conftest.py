"""A finished run that tests may change."""

import shutil

import pytest


@pytest.fixture
def run_copy(finished_run, tmp_path):
  """A copy of the finished run: (workdir, result)."""
  workdir, result = finished_run
  return shutil.copytree(workdir, tmp_path / 'copy'), result
