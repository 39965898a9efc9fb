"""launch/: the shell scripts that start one training on several hosts."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from inception_jax.distributed import cluster
from tests.support.launching import ROOT
from tests.support.launching import SCRIPTS
from tests.support.launching import finish
from tests.support.launching import records
from tests.support.launching import requeued
from tests.support.launching import unknown_flags
from tests.support.launching import wait_until_started

every_script = pytest.mark.parametrize('script', SCRIPTS)


def test_shellcheck():
  scripts = [
    path
    for name in ('launch', '.ci', 'tests/system/launchers')
    for path in (ROOT / name).iterdir()
    if path.is_file() and re.match('#!.*sh\n', path.read_text())
  ]
  assert len(scripts) >= 10
  shellcheck = pathlib.Path(sys.executable).parent / 'shellcheck'
  done = subprocess.run([shellcheck, *scripts], stdout=subprocess.PIPE)
  assert not done.returncode, done.stdout.decode()
  assert all(
    os.access(path, os.X_OK) for path in scripts if path.suffix == '.sh'
  )


@every_script
def test_every_process_gets_recipe_workdir_and_flags(launch, script):
  status, errors = finish(launch(script))
  assert status == 0, errors
  for process in (0, 1):
    argv = records(launch)[0, process]['argv']
    assert argv[:2] == [
      '--config=configs/digits.py',
      '--workdir=gs://bucket/a b',
    ]
    assert argv[-1] == '--config.seed=3'
    assert not unknown_flags(argv)
  assert len(records(launch)) == 2
  assert not requeued(launch)


@every_script
def test_all_mistakes_are_reported_at_once(launch, script):
  missing = dict.fromkeys(SCRIPTS[script])
  status, errors = finish(launch(script, args=[], **missing))
  lines = errors.splitlines()
  assert status == 2
  assert len(lines) >= 2 and all(line.startswith('error: ') for line in lines)
  assert not records(launch)


# The first failure counts, not the processes that lost it and exit with 75.
@pytest.mark.parametrize(
  ('script', 'status'),
  [('slurm.sbatch', 1), *((script, 2) for script in SCRIPTS)],
)
def test_failure_is_not_restarted(launch, script, status):
  code, errors = finish(launch(script, plan=[['lost', status]]))
  assert code == status, errors
  assert not requeued(launch)


# 134 is SIGABRT, 137 SIGKILL.
@pytest.mark.slow
@pytest.mark.parametrize('script', sorted(set(SCRIPTS) - {'slurm.sbatch'}))
def test_preemption_hang_and_signal_are_restarted(launch, script):
  plan = [[75, 75], [70, 70], [134, 75], [75, 137], [0, 0]]
  code, errors = finish(launch(script, plan=plan))
  assert code == 0, errors
  assert 'restart 4 of 20' in errors
  assert len(records(launch)) == 10


@pytest.mark.parametrize('status', [75, 139])
def test_restarts_without_progress_are_bounded(launch, status):
  plan = [[status, status]] * 3
  code, errors = finish(launch('ssh.sh', plan=plan, RESTARTS='1'))
  assert code == status
  assert f'status {status} after 1 restarts: giving up' in errors
  assert len(records(launch)) == 4


def test_new_checkpoint_is_progress(launch, tmp_path):
  """An older one, or a damaged one, is not."""
  for i, names in enumerate((['2'], ['4', '2.damaged'], ['3', '4.damaged'])):
    for name in names:
      (tmp_path / f'{i}/checkpoints' / name).mkdir(parents=True)
  command = 'rm -rf run; mv $(ls -d [0-9] | head -n 1) run; exit 75'
  process = launch(
    'restart.sh', args=['bash', '-c', command], RESTARTS='1', WORKDIR='run'
  )
  code, errors = finish(process)
  assert code == 75
  assert errors.splitlines() == [
    'exit status 75: restart 1 of 1',
    'exit status 75: restart 1 of 1',
    'exit status 75 after 1 restarts: giving up',
  ]


@every_script
def test_processes_share_a_token_that_changes(launch, script):
  """And which does not show in the command line of a process."""
  tokens = set()
  for start in range(2):
    assert finish(launch(script, plan=[[0, 0]] * 2))[0] == 0
    processes = [records(launch)[start, i] for i in (0, 1)]
    first, second = (x['env']['INCEPTION_JAX_TOKEN'] for x in processes)
    assert first == second and len(first) == 32
    assert not any(first in arg for x in processes for arg in x['argv'])
    tokens.add(first)
  assert len(tokens) == 2


@every_script
def test_sigterm_saves_and_ends(launch, script):
  process = launch(script, plan=[['saves', 'saves'], [0, 0]])
  wait_until_started(launch)
  process.send_signal(signal.SIGTERM)
  code, errors = finish(process)
  assert code == 75
  assert 'restart' not in errors
  # One signal each, with time to save: a second one would end it unsaved.
  assert [records(launch)[0, i]['signals'] for i in (0, 1)] == [1, 1]
  assert len(records(launch)) == 2
  assert not requeued(launch)


# Processes that lose the failing one may exit before it does.
@pytest.mark.parametrize('first', [75, 137])
@pytest.mark.parametrize('script', ['slurm.sbatch', 'tpu_vm.sh'])
def test_failure_takes_precedence(launch, script, first):
  code, errors = finish(launch(script, plan=[[first, 'late'], [0, 0]]))
  assert code == 2, errors
  assert not requeued(launch)


@pytest.mark.parametrize('script', ['mpirun.sh', 'ssh.sh'])
def test_control_c_saves(launch, script):
  process = launch(script, plan=[['saves', 'saves']])
  wait_until_started(launch)
  os.killpg(process.pid, signal.SIGINT)  # as a terminal does
  assert finish(process)[0] == 75
  assert [records(launch)[0, i]['signals'] for i in (0, 1)] == [1, 1]


@pytest.mark.parametrize(
  ('script', 'address'),
  [
    ('slurm.sbatch', f'node07:{4711 % 4096 + 61440}'),
    ('mpirun.sh', f'192.0.2.2:{1223360512 // 4096 % 4096 + 61440}'),
  ],
)
def test_cluster_is_detected(launch, monkeypatch, script, address):
  assert finish(launch(script))[0] == 0
  for process in (0, 1):
    with monkeypatch.context() as patch:
      for name, value in records(launch)[0, process]['env'].items():
        patch.setenv(name, value)
      info = cluster.detect('', None, None)
    assert info == cluster.ProcessInfo(address, 2, process, (0,))


def test_ssh_passes_coordinator_count_and_index(launch):
  assert finish(launch('ssh.sh', PORT='1234'))[0] == 0
  assert set((launch.records / 'hosts').read_text().split()) == {
    'node1',
    'node2',
  }
  for process in (0, 1):
    assert {
      '--coordinator_address=node1:1234',
      '--num_processes=2',
      f'--process_id={process}',
    } < set(records(launch)[0, process]['argv'])


@pytest.mark.parametrize(
  ('first', 'patience'), [(3, '60'), (0, '0.3')], ids=['failed', 'done']
)
def test_ssh_ends_the_others_when_one_ends(launch, first, patience):
  process = launch(
    'ssh.sh', plan=[[first, 'saves']], PATIENCE=patience, RESTARTS='0'
  )
  assert finish(process)[0] == (first or 75)
  assert records(launch)[0, 1]['signals'] == 1


def test_ssh_says_which_hosts_are_missing_and_does_not_try_again(launch):
  down = 'ssh: connect to host node2 port 22: Connection refused'
  status, errors = finish(launch('ssh.sh', REFUSED='node2'))
  assert status == 2
  assert errors == f'error: node2: {down}\n'
  status, errors = finish(launch('ssh.sh', PYTHON='no/python'))
  assert status == 2
  assert sorted(errors.splitlines()) == [
    f'error: node{i}: no/python is not in {launch.records.parent}'
    for i in (1, 2)
  ]
  assert not records(launch)


def test_ssh_says_on_which_host_a_process_failed(launch):
  _, errors = finish(launch('ssh.sh', plan=[['lost', 3]]))
  assert 'node2: exit status 3' in errors
  assert 'node1' not in errors


def test_ssh_leaves_no_process_when_it_is_killed(launch):
  process = launch('ssh.sh', plan=[['saves', 'saves']])
  wait_until_started(launch)
  children = subprocess.run(
    ['pgrep', '-P', str(process.pid)], stdout=subprocess.PIPE, text=True
  ).stdout.split()
  os.kill(process.pid, signal.SIGKILL)
  for child in children:
    os.kill(int(child), signal.SIGKILL)
  while [records(launch)[0, i]['signals'] for i in (0, 1)] != [1, 1]:
    time.sleep(0.02)


def test_mpirun_needs_open_mpi_4(launch):
  status, errors = finish(launch('mpirun.sh', VERSION='5.0.3'))
  assert status == 2
  assert errors == 'error: Open MPI 4 is needed, not mpirun (Open MPI) 5.0.3\n'


def test_preempted_slice_is_requested_again(launch):
  states = 'none PROVISIONING ACTIVE SUSPENDED none ACTIVE'
  plan = [[75, 75], [0, 0]]
  code, errors = finish(launch('tpu_vm.sh', plan=plan, STATES=states))
  assert code == 0, errors
  verbs = [
    line.split()[3]
    for line in (launch.records / 'gcloud').read_text().splitlines()
    if 'tpus queued-resources' in line and 'describe' not in line
  ]
  assert verbs == ['create', 'delete', 'create']


def test_workdir_on_the_slice_is_refused(launch):
  args = ['configs/digits.py', 'runs/digits']
  status, errors = finish(launch('tpu_vm.sh', args=args))
  assert status == 2
  assert 'WORKDIR=runs/digits would be lost with the slice' in errors
