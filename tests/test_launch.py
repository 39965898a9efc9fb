"""launch/ starts one training on many hosts, each by a launcher that is played.

The launchers are in tests/launchers, and so is the main.py that they start.
"""

import json
import math
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import jsonschema
import pytest
import yaml

ROOT = pathlib.Path(__file__).parent.parent
PLAYERS = ROOT / 'tests' / 'launchers'
SCHEMA = ROOT / 'tests' / 'schemas' / 'jobset-v0.12.0.json'
SCRIPTS = {
  'slurm.sbatch': {'SLURM_JOB_ID': '4711', 'SLURM_CPUS_PER_TASK': '3'},
  'mpirun.sh': {'HOSTS': 'node1:1,node2:1', 'PATIENCE': '0.4'},
  'ssh.sh': {'HOSTS': 'node1 node2', 'PATIENCE': '2'},
  'tpu_vm.sh': {
    'TPU': 'slice',
    'ZONE': 'here-a',
    'TYPE': 'v5litepod-8',
    'IMAGE': 'docker.pkg.dev/p/inception:1',
    'STATES': 'ACTIVE',
  },
}
ARGS = ['configs/digits.py', 'gs://bucket/a b', '--config.seed=3']
every_script = pytest.mark.parametrize('script', SCRIPTS)


@pytest.fixture
def launch(tmp_path):
  """Starts a script where main.py and every launcher are played."""
  shutil.copytree(ROOT / 'launch', tmp_path / 'launch')
  shutil.copy(PLAYERS / 'main.py', tmp_path)
  (tmp_path / 'played').mkdir()
  started = []

  def start(script, plan=((0, 0),), args=ARGS, **env):
    base = {
      'PATH': f'{PLAYERS}:{os.environ["PATH"]}',
      'PLAYED': str(tmp_path / 'played'),
      'PLAN': json.dumps(plan),
      'PYTHON': sys._base_executable,
      'PAUSE': '0',
      'POLL': '0',
      **SCRIPTS.get(script, {}),
    }
    process = subprocess.Popen(
      ['bash', f'launch/{script}', *args],
      cwd=tmp_path,
      env={k: v for k, v in {**base, **env}.items() if v is not None},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      start_new_session=True,
    )
    started.append(process)
    return process

  start.played = tmp_path / 'played'
  yield start
  for process in started:
    if process.poll() is None:
      os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def ended(process):
  _, errors = process.communicate(timeout=30)
  return process.returncode, errors


def said(launch):
  """What the processes said, by (start, process)."""
  return {
    tuple(map(int, path.stem.split('-'))): json.loads(path.read_text())
    for path in launch.played.glob('*.json')
  }


def when_started(launch, count=2):
  while len(said(launch)) < count:
    time.sleep(0.02)


def requeued(launch):
  return (launch.played / 'scontrol').exists()


def test_shellcheck():
  scripts = [
    path
    for name in ('launch', '.ci', 'tests/launchers')
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
  assert ended(process)[0] == 75
  # Each was told once, and had the time it took: the second would end it.
  assert [said(launch)[0, i]['told'] for i in (0, 1)] == [1, 1]
  assert len(said(launch)) == 2
  assert not requeued(launch)


@pytest.mark.parametrize('status', [70, 75])
def test_slurm_requeues(launch, status):
  code, errors = ended(launch('slurm.sbatch', plan=[[status, 0]]))
  assert code == status
  assert (launch.played / 'scontrol').read_text() == 'requeue 4711\n', errors


def test_slurm_requeues_at_the_time_limit(launch):
  plan = [['saves', 'saves']]
  code, _ = ended(launch('slurm.sbatch', plan=plan, SLURMD_TERM='1'))
  assert code == 75
  assert [said(launch)[0, i]['told'] for i in (0, 1)] == [1, 1]
  assert requeued(launch)


@pytest.mark.parametrize(
  'env', [{'SLURM_RESTART_COUNT': '20'}, {'STATE': 'COMPLETING'}], ids=str
)
def test_slurm_does_not_requeue_for_ever_nor_what_was_cancelled(launch, env):
  assert ended(launch('slurm.sbatch', plan=[[75, 75]], **env))[0] == 75
  assert not requeued(launch)


def test_slurm_options():
  lines = (ROOT / 'launch/slurm.sbatch').read_text().splitlines()
  options = dict(
    line.removeprefix('#SBATCH --').partition('=')[::2]
    for line in lines
    if line.startswith('#SBATCH')
  )
  # After the first command Slurm no longer looks for any.
  assert lines.index('set -u') > max(
    i for i, line in enumerate(lines) if line.startswith('#SBATCH')
  )
  assert options['ntasks-per-node'] == options['gpus-per-node']
  assert options['signal'] == 'TERM@120'  # without B: to the tasks
  assert 'requeue' in options
  assert options['open-mode'] == 'append'


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


@pytest.fixture(scope='module')
def jobset():
  return yaml.safe_load((ROOT / 'launch/jobset.yaml').read_text())


def closed(schema):
  """The schema, with no fields but its own: kubectl drops the others."""
  if isinstance(schema, list):
    return [closed(each) for each in schema]
  if not isinstance(schema, dict):
    return schema
  if 'properties' in schema:
    fields = {k: closed(v) for k, v in schema['properties'].items()}
    rest = {k: closed(v) for k, v in schema.items() if k != 'properties'}
    return {**rest, 'properties': fields, 'additionalProperties': False}
  return {k: closed(v) for k, v in schema.items()}


def test_jobset_is_what_its_schema_says(jobset):
  schema = closed(json.loads(SCHEMA.read_text()))
  jsonschema.Draft202012Validator(schema).validate(jobset)


def test_jobset_fills_its_slices(jobset):
  (group,) = jobset['spec']['replicatedJobs']
  job = group['template']['spec']
  pod = job['template']['spec']
  (container,) = pod['containers']
  topology = pod['nodeSelector']['cloud.google.com/gke-tpu-topology']
  chips = container['resources']['limits']['google.com/tpu']
  assert job['completionMode'] == 'Indexed'
  assert job['parallelism'] == job['completions']
  assert chips * job['parallelism'] == math.prod(map(int, topology.split('x')))
  assert container['resources']['requests'] == container['resources']['limits']


def test_jobset_starts_again_after_all_but_1_and_2(jobset):
  policy = jobset['spec']['failurePolicy']
  job = jobset['spec']['replicatedJobs'][0]['template']['spec']
  pod = job['template']['spec']
  assert 0 < policy['maxRestarts'] < 100
  # What no rule is for restarts them all, and counts.
  (rule,) = policy['rules']
  assert rule['action'] == 'FailJobSet'
  assert rule['onJobFailureReasons'] == ['PodFailurePolicy']
  (failing,) = job['podFailurePolicy']['rules']
  assert failing['action'] == 'FailJob'
  codes = failing['onExitCodes']
  assert (codes['operator'], codes['values']) == ('In', [1, 2])
  assert codes['containerName'] == pod['containers'][0]['name']
  # Kubernetes takes a podFailurePolicy with this alone.
  assert pod['restartPolicy'] == 'Never'
  assert job['backoffLimit'] == 0
  assert pod['terminationGracePeriodSeconds'] >= 120


def test_image_has_the_libtpu_that_jax_asks_for():
  from importlib import metadata

  from packaging.requirements import Requirement

  docker = (ROOT / 'launch/Dockerfile').read_text()
  (pin,) = [word for word in docker.split() if word.startswith('libtpu==')]
  (asked,) = [
    requirement
    for requirement in map(Requirement, metadata.requires('jax'))
    if requirement.name == 'libtpu'
    and requirement.marker.evaluate({'extra': 'tpu'})
  ]
  assert asked.specifier.contains(pin.removeprefix('libtpu=='))
