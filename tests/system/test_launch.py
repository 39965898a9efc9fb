"""launch/: the shell scripts that start one training on many hosts."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.support.launching import ROOT
from tests.support.launching import SCRIPTS
from tests.support.launching import ended
from tests.support.launching import requeued
from tests.support.launching import said
from tests.support.launching import unknown_flags
from tests.support.launching import when_started

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
  status, errors = ended(launch(script))
  assert status == 0, errors
  for process in (0, 1):
    argv = said(launch)[0, process]['argv']
    assert argv[:2] == [
      '--config=configs/digits.py',
      '--workdir=gs://bucket/a b',
    ]
    assert argv[-1] == '--config.seed=3'
    assert not unknown_flags(argv)
  assert len(said(launch)) == 2
  assert not requeued(launch)


@every_script
def test_mistakes_are_said_all_at_once(launch, script):
  missing = dict.fromkeys(SCRIPTS[script])
  status, errors = ended(launch(script, args=[], **missing))
  lines = errors.splitlines()
  assert status == 2
  assert len(lines) >= 2 and all(line.startswith('error: ') for line in lines)
  assert not said(launch)


# The first that failed counts, not those who lost it and end in 75.
@pytest.mark.parametrize(
  ('script', 'status'),
  [('slurm.sbatch', 1), *((script, 2) for script in SCRIPTS)],
)
def test_what_would_fail_again_is_not_started_again(launch, script, status):
  code, errors = ended(launch(script, plan=[['lost', status]]))
  assert code == status, errors
  assert not requeued(launch)


@pytest.mark.parametrize('script', sorted(set(SCRIPTS) - {'slurm.sbatch'}))
def test_it_starts_again_where_that_may_help(launch, script):
  plan = [[75, 75], [70, 70], [0, 0]]
  code, errors = ended(launch(script, plan=plan))
  assert code == 0, errors
  assert 'new start 2 of 20' in errors
  assert len(said(launch)) == 6


def test_new_starts_are_bounded(launch):
  code, errors = ended(launch('ssh.sh', plan=[[75, 75]] * 3, RESTARTS='1'))
  assert code == 75
  assert 'the last' in errors
  assert len(said(launch)) == 4


@every_script
def test_sigterm_lets_all_save_and_is_the_end(launch, script):
  process = launch(script, plan=[['saves', 'saves'], [0, 0]])
  when_started(launch)
  process.send_signal(signal.SIGTERM)
  code, errors = ended(process)
  assert code == 75
  assert 'new start' not in errors
  # Each was told once, and had the time it took: the second would end it.
  assert [said(launch)[0, i]['told'] for i in (0, 1)] == [1, 1]
  assert len(said(launch)) == 2
  assert not requeued(launch)


# Those who lose the one that fails may end before it does.
@pytest.mark.parametrize('script', ['slurm.sbatch', 'tpu_vm.sh'])
def test_a_failure_counts_more_than_75(launch, script):
  code, errors = ended(launch(script, plan=[[75, 'late'], [0, 0]]))
  assert code == 2, errors
  assert not requeued(launch)


@pytest.mark.parametrize('script', ['mpirun.sh', 'ssh.sh'])
def test_control_c_lets_all_save(launch, script):
  process = launch(script, plan=[['saves', 'saves']])
  when_started(launch)
  os.killpg(process.pid, signal.SIGINT)  # as a terminal does
  assert ended(process)[0] == 75
  assert [said(launch)[0, i]['told'] for i in (0, 1)] == [1, 1]


@pytest.mark.parametrize(
  ('script', 'address'),
  [
    ('slurm.sbatch', f'node07:{4711 % 4096 + 61440}'),
    ('mpirun.sh', f'192.0.2.2:{1223360512 // 4096 % 4096 + 61440}'),
  ],
)
def test_jax_finds_its_place(launch, monkeypatch, script, address):
  from jax._src.clusters import ClusterEnv

  assert ended(launch(script))[0] == 0
  for process in (0, 1):
    with monkeypatch.context() as patch:
      for name, value in said(launch)[0, process]['env'].items():
        patch.setenv(name, value)
      place = ClusterEnv.auto_detect_unset_distributed_params(
        None, None, None, None, None, 50
      )
    assert place == (address, 2, process, [0])


def test_ssh_tells_each_its_place(launch):
  assert ended(launch('ssh.sh', PORT='1234'))[0] == 0
  assert set((launch.played / 'hosts').read_text().split()) == {
    'node1',
    'node2',
  }
  for process in (0, 1):
    assert {
      '--coordinator_address=node1:1234',
      '--num_processes=2',
      f'--process_id={process}',
    } < set(said(launch)[0, process]['argv'])


@pytest.mark.parametrize(
  ('first', 'patience'), [(3, '60'), (0, '0.3')], ids=['failed', 'done']
)
def test_ssh_ends_the_others_when_one_has_ended(launch, first, patience):
  process = launch(
    'ssh.sh', plan=[[first, 'saves']], PATIENCE=patience, RESTARTS='0'
  )
  assert ended(process)[0] == (first or 75)
  assert said(launch)[0, 1]['told'] == 1


def test_ssh_leaves_nothing_behind_when_it_is_killed(launch):
  process = launch('ssh.sh', plan=[['saves', 'saves']])
  when_started(launch)
  children = subprocess.run(
    ['pgrep', '-P', str(process.pid)], stdout=subprocess.PIPE, text=True
  ).stdout.split()
  os.kill(process.pid, signal.SIGKILL)
  for child in children:
    os.kill(int(child), signal.SIGKILL)
  while [said(launch)[0, i]['told'] for i in (0, 1)] != [1, 1]:
    time.sleep(0.02)


def test_mpirun_needs_open_mpi_4(launch):
  status, errors = ended(launch('mpirun.sh', VERSION='5.0.3'))
  assert status == 2
  assert errors == 'error: Open MPI 4 is needed, not mpirun (Open MPI) 5.0.3\n'


def test_a_slice_that_was_taken_away_is_asked_for_anew(launch):
  states = 'none PROVISIONING ACTIVE SUSPENDED none ACTIVE'
  plan = [[75, 75], [0, 0]]
  code, errors = ended(launch('tpu_vm.sh', plan=plan, STATES=states))
  assert code == 0, errors
  verbs = [
    line.split()[3]
    for line in (launch.played / 'gcloud').read_text().splitlines()
    if 'tpus queued-resources' in line and 'describe' not in line
  ]
  assert verbs == ['create', 'delete', 'create']


def test_a_workdir_on_the_slice_is_refused(launch):
  args = ['configs/digits.py', 'runs/digits']
  status, errors = ended(launch('tpu_vm.sh', args=args))
  assert status == 2
  assert 'runs/digits would go with the slice' in errors
