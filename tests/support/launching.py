"""Starts the scripts of launch/ with stubs of the launchers and of main.py."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
STUBS = ROOT / 'tests' / 'system' / 'launchers'
# The environment variables that each script needs.
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


@pytest.fixture
def launch(tmp_path):
  """A function that starts a script with the stubs.

  Its `plan` has for each start and process an exit status, or another entry of
  tests/system/launchers/main.py.
  """
  shutil.copytree(ROOT / 'launch', tmp_path / 'launch')
  shutil.copy(STUBS / 'main.py', tmp_path)
  (tmp_path / 'records').mkdir()
  started = []

  def start(script, plan=((0, 0),), args=ARGS, **env):
    base = {
      'PATH': f'{STUBS}:{os.environ["PATH"]}',
      'RECORDS': str(tmp_path / 'records'),
      'PLAN': json.dumps(plan),
      'PYTHON': sys._base_executable,
      'PAUSE': '0',
      'POLL': '0',
      **SCRIPTS.get(script, {}),
    }
    process = subprocess.Popen(
      # Background processes ignore SIGINT, processes of a shell do not.
      ['env', '--default-signal=INT', 'bash', f'launch/{script}', *args],
      cwd=tmp_path,
      env={k: v for k, v in {**base, **env}.items() if v is not None},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      start_new_session=True,
    )
    started.append(process)
    return process

  start.records = tmp_path / 'records'
  yield start
  for process in started:
    if process.poll() is None:
      os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def finish(process):
  """Waits for a process; returns its exit status and stderr."""
  _, errors = process.communicate(timeout=30)
  return process.returncode, errors


def records(launch):
  """Returns the records of the processes, by (start, process)."""
  return {
    tuple(map(int, path.stem.split('-'))): json.loads(path.read_text())
    for path in launch.records.glob('*.json')
  }


def wait_until_started(launch, count=2):
  while len(records(launch)) < count:
    time.sleep(0.02)


def unknown_flags(argv):
  """Returns the flags in `argv` that main.py does not define."""
  text = (ROOT / 'inception_jax' / 'tools' / 'train.py').read_text()
  known = {
    'config',
    *re.findall(r"(?:DEFINE_\w+|define_path)\(\s*'(\w+)'", text),
  }
  names = {re.match(r'--(\w+)', arg)[1] for arg in argv}
  return names - known


def requeued(launch):
  """Returns whether the script requeued its Slurm job."""
  return (launch.records / 'scontrol').exists()
