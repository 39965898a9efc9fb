"""The cores of the processes that launch/ starts on one host."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.commands import ROOT

CORES = sorted(os.sched_getaffinity(0))


def cores_of(rank: int, size: int) -> list[int]:
  """Returns the cores of a command under task.sh, as Open MPI starts it."""
  program = 'import os; print(sorted(os.sched_getaffinity(0)))'
  done = subprocess.run(
    ['launch/task.sh', sys.executable, '-c', program],
    cwd=ROOT,
    env={
      **os.environ,
      'OMPI_COMM_WORLD_LOCAL_RANK': str(rank),
      'OMPI_COMM_WORLD_LOCAL_SIZE': str(size),
    },
    stdout=subprocess.PIPE,
    text=True,
    check=True,
  )
  return json.loads(done.stdout)


@pytest.mark.skipif(len(CORES) < 2, reason='needs two cores')
def test_processes_of_a_host_share_its_cores():
  share = len(CORES) // 2
  assert cores_of(0, 2) == CORES[:share]
  assert cores_of(1, 2) == CORES[share : 2 * share]


def test_one_process_or_more_than_cores_are_not_bound():
  assert cores_of(0, 1) == CORES
  assert cores_of(1, len(CORES) + 1) == CORES
