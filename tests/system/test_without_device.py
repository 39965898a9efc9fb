"""Tools that only read the files of a run need no accelerator.

With JAX_PLATFORMS=cuda, on a machine without GPU, any use of a device fails.
"""

import json
import subprocess
import sys

import pytest

from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.config import serialization
from tests.support import commands
from tests.support import pictures
from tests.support.tiny import tiniest_config


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A run's folder with a checkpoint of step 3 and its stored evaluation."""
  folder = tmp_path_factory.mktemp('run')
  config = tiniest_config()
  pictures.save_run(folder, config, 1, step=3)
  scores = {'loss': 1.5, 'top1': 0.5, 'top5': 0.75, 'count': 8}
  with CheckpointManager(lookup.checkpoint_folder(folder)) as checkpoints:
    checkpoints.add_metrics(3, scores)
  (folder / 'config.json').write_text(serialization.to_json(config))
  line = {'step': 3, 'split': 'eval', **scores}
  (folder / 'metrics.jsonl').write_text(json.dumps(line) + '\n')
  return folder


def tool(name, *args):
  """Runs a tool, and returns its result."""
  start = commands.command(*args, program=('-m', f'inception_jax.tools.{name}'))
  start['env']['JAX_PLATFORMS'] = 'cuda'
  done = subprocess.run(**start)
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout.splitlines()[-1])


def test_compare(run):
  (row,) = tool('compare', str(run))['runs']
  assert (row['step'], row['top1']) == (3, 0.5)


def test_verify(run):
  assert tool('verify', f'--workdir={run}', '--repair')['sound'] == [3]


@pytest.mark.slow
def test_report_of_stored_results(run, tmp_path):
  result = tool(
    'report', f'--workdir={run}', f'--output={tmp_path}', '--noevaluate'
  )
  (scores,) = result['runs'].values()
  assert (scores['step'], scores['top1']) == (3, 0.5)
  assert (tmp_path / 'index.html').exists()


def test_metrics_file_imports_no_jax():
  program = """
import sys
from inception_jax.runtime import metrics_file
assert 'jax' not in sys.modules and 'tensorflow' not in sys.modules
"""
  subprocess.run([sys.executable, '-c', program], cwd=commands.ROOT, check=True)
