"""launch/slurm.sbatch: when the job is requeued."""

import signal

import pytest

from tests.support.launching import ROOT
from tests.support.launching import finish
from tests.support.launching import records
from tests.support.launching import requeued
from tests.support.launching import wait_until_started


@pytest.mark.parametrize('status', [70, 75, 134, 137])
def test_slurm_requeues(launch, status):
  code, errors = finish(launch('slurm.sbatch', plan=[[status, 0]]))
  assert code == status
  assert (launch.records / 'scontrol').read_text() == 'requeue 4711\n', errors


def test_slurm_may_signal_both_script_and_tasks(launch):
  process = launch('slurm.sbatch', plan=[['saves', 'saves']], SLURMD_TERM='1')
  wait_until_started(launch)
  process.send_signal(signal.SIGTERM)
  assert finish(process)[0] == 75
  assert [records(launch)[0, i]['signals'] for i in (0, 1)] == [1, 1]
  assert not requeued(launch)


def test_slurm_requeues_at_the_time_limit(launch):
  plan = [['saves', 'saves']]
  code, _ = finish(launch('slurm.sbatch', plan=plan, SLURMD_TERM='1'))
  assert code == 75
  assert [records(launch)[0, i]['signals'] for i in (0, 1)] == [1, 1]
  assert requeued(launch)


@pytest.mark.parametrize(
  'env', [{'SLURM_RESTART_COUNT': '20'}, {'STATE': 'COMPLETING'}], ids=str
)
def test_slurm_does_not_requeue_a_cancelled_job_or_for_ever(launch, env):
  assert finish(launch('slurm.sbatch', plan=[[75, 75]], **env))[0] == 75
  assert not requeued(launch)


def test_slurm_options():
  lines = (ROOT / 'launch/slurm.sbatch').read_text().splitlines()
  options = dict(
    line.removeprefix('#SBATCH --').partition('=')[::2]
    for line in lines
    if line.startswith('#SBATCH')
  )
  # Slurm reads options only before the first command.
  assert lines.index('set -u') > max(
    i for i, line in enumerate(lines) if line.startswith('#SBATCH')
  )
  assert options['ntasks-per-node'] == options['gpus-per-node']
  assert options['signal'] == 'TERM@120'  # without B: to the tasks
  assert 'requeue' in options
  assert options['open-mode'] == 'append'
