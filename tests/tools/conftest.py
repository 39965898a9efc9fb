"""Two runs and their reports, for the tests of report and compare."""

import json

import pytest

from tests.support import runs
from tests.support.commands import tool


@pytest.fixture(scope='session')
def workdirs(tmp_path_factory, one_device):
  return runs.train_two(tmp_path_factory.mktemp('runs'), one_device)


@pytest.fixture(scope='session')
def reported(workdirs):
  """The workdirs and the results of tools.report."""
  results = []
  for workdir in workdirs:
    done = tool('report', f'--workdir={workdir}')
    assert done.returncode == 0, done.stderr
    results.append(json.loads(done.stdout.splitlines()[-1]))
  return workdirs, results
