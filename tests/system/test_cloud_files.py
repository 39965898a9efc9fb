"""launch/skypilot.yaml, vertex.yaml and xpk.sh, for clouds' own programs."""

import json
import os
import re
import shlex
import subprocess

import jsonschema
import pytest
import yaml

from tests.support import page_commands
from tests.support.launching import ROOT
from tests.support.launching import unknown_flags

SCHEMAS = ROOT / 'tests' / 'system' / 'schemas'
# Of `xpk workload create` of xpk 1.16.
XPK = {
  *('cluster', 'tpu-type', 'workload', 'docker-image', 'env', 'command'),
  *('max-restarts', 'restart-on-exit-codes'),
  'termination-grace-period-seconds',
}


def load(name):
  return yaml.safe_load((ROOT / 'launch' / name).read_text())


def validate(schema, value):
  jsonschema.Draft202012Validator(schema).validate(value)


@pytest.fixture(scope='module')
def sky():
  schema = json.loads((SCHEMAS / 'skypilot-v0.14.1.json').read_text())
  return schema, load('skypilot.yaml')


def test_skypilot_matches_its_schemas(sky):
  schema, task = sky
  validate(schema['task'], task)
  validate(schema['resources'], task['resources'])
  for wrong in ({**task, 'nodes': 2}, {**task, 'num_nodes': '2'}):
    with pytest.raises(jsonschema.ValidationError):
      validate(schema['task'], wrong)


def test_skypilot_starts_a_process_on_each_host(sky, tmp_path):
  """Its script runs, with what SkyPilot sets, and a Python that records."""
  _, task = sky
  folder = tmp_path / '.venv' / 'bin'
  folder.mkdir(parents=True)
  python = folder / 'python'
  python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
  python.chmod(0o755)
  given = {
    'WORKDIR': 'gs://b/a b',
    'DATA': 's3://c',
    'INCEPTION_JAX_TOKEN': 'x',
  }
  missing = {**task['envs'], **task['secrets']}
  assert {name for name, value in missing.items() if value is None} == {*given}
  node = {
    'SKYPILOT_NODE_IPS': '10.0.0.1\n10.0.0.2',
    'SKYPILOT_NUM_NODES': '2',
    'SKYPILOT_NODE_RANK': '1',
  }
  env = {**os.environ, **task['envs'], **given, **node}
  done = subprocess.run(
    ['bash', '-c', task['run']],
    cwd=tmp_path,
    env=env,
    capture_output=True,
    text=True,
    check=True,
  )
  program, *argv = done.stdout.splitlines()
  assert program == 'main.py' and not unknown_flags(
    [x for x in argv if not x.startswith('--config.')]
  )
  assert '--coordinator_address=10.0.0.1:8476' in argv
  assert '--num_processes=2' in argv and '--process_id=1' in argv
  assert '--workdir=gs://b/a b' in argv and '--config.data.dir=s3://c' in argv
  config = page_commands.config_arguments(argv)
  assert page_commands.faults_of_config(config) == []


def test_skypilot_starts_again_after_a_preemption_alone(sky):
  recovery = sky[1]['resources']['job_recovery']
  assert recovery['recover_on_exit_codes'] == [70, 75]
  assert recovery['max_restarts_on_errors'] == 0


def test_vertex_matches_its_schema():
  schema = json.loads((SCHEMAS / 'vertex-v1-20261106.json').read_text())
  job = load('vertex.yaml')
  validate(schema, job)
  (pool,) = job['workerPoolSpecs']
  args = pool['containerSpec']['args']
  assert not unknown_flags([x for x in args if not x.startswith('--config.')])
  assert (
    page_commands.faults_of_config(page_commands.config_arguments(args)) == []
  )
  with pytest.raises(jsonschema.ValidationError):
    validate(schema, {**job, 'workerPools': []})


def xpk(tmp_path, *args, **changes):
  """Runs the script with an xpk that prints its arguments."""
  program = tmp_path / 'xpk'
  program.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
  program.chmod(0o755)
  env = {**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}'}
  env |= {'CLUSTER': 'tpus', 'TYPE': 'v5litepod-16', 'IMAGE': 'image:1'}
  return subprocess.run(
    [ROOT / 'launch' / 'xpk.sh', *args],
    env={k: v for k, v in {**env, **changes}.items() if v is not None},
    capture_output=True,
    text=True,
  )


def test_xpk_gets_a_command_for_its_shell(tmp_path):
  workdir = "gs://bucket/a b'$x"
  recipe = 'configs/inception_v4.py'
  done = xpk(tmp_path, recipe, workdir, '--config.seed=3')
  assert done.returncode == 0, done.stderr
  kind, verb, *flags = done.stdout.split('\0')[:-1]
  assert (kind, verb) == ('workload', 'create')
  found = dict(re.fullmatch('--([a-z-]+)=(.*)', x).groups() for x in flags)
  assert found.keys() == XPK
  assert re.fullmatch('INCEPTION_JAX_TOKEN=[0-9a-f]{32}', found['env'])
  assert found['restart-on-exit-codes'] == '70,75'
  argv = shlex.split(found['command'])
  assert argv[:3] == ['exec', 'python', 'main.py']
  assert f'--workdir={workdir}' in argv
  assert argv[-1] == '--config.seed=3'
  assert not unknown_flags(argv[3:])


def test_xpk_reports_all_mistakes_at_once(tmp_path):
  done = xpk(tmp_path, 'configs/digits.py', 'runs/x', TYPE=None, IMAGE=None)
  assert done.returncode == 2 and not done.stdout
  assert done.stderr.splitlines() == [
    'error: WORKDIR=runs/x would be lost with the pods: use gs://BUCKET/…',
    'error: TYPE is missing',
    'error: IMAGE is missing',
  ]
