"""The package as users install it: a wheel, outside of its checkout."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from inception_jax import __main__ as commands
from tests.support.commands import ROOT
from tests.support.commands import UNOPTIMISED

PARTS = (
  *('inception_jax', 'configs', 'pyproject.toml', 'setup.py'),
  *('README.md', 'LICENSE'),
)
TRAIN = (
  'train',
  '--config=digits',
  '--workdir=run',
  '--config.model.width=0.05',
  '--config.model.aux_head=False',
  '--config.data.image_size=16',
  '--config.batch_size=32',
  '--config.eval_every=2 steps',
)


@pytest.fixture(scope='module')
def site(tmp_path_factory):
  """The folder in which the wheel is installed, without its requirements."""
  folder = tmp_path_factory.mktemp('wheel')
  source, site = folder / 'source', folder / 'site'
  source.mkdir()
  for part in PARTS:
    if (ROOT / part).is_dir():
      unwanted = shutil.ignore_patterns('__pycache__')
      shutil.copytree(ROOT / part, source / part, ignore=unwanted)
    else:
      shutil.copy(ROOT / part, source / part)
  pip = (sys.executable, '-m', 'pip', '--quiet', '--disable-pip-version-check')
  subprocess.run([*pip, 'wheel', '--no-deps', '.'], cwd=source, check=True)
  (wheel,) = source.glob('*.whl')
  target = (f'--target={site}', str(wheel))
  subprocess.run([*pip, 'install', '--no-deps', *target], check=True)
  shutil.rmtree(source)
  return site


@pytest.fixture(scope='module')
def run(site, tmp_path_factory):
  """Runs a command of the installed package in an empty folder."""
  folder = tmp_path_factory.mktemp('empty')
  env = {**os.environ, 'PYTHONPATH': str(site), 'XLA_FLAGS': UNOPTIMISED}
  env['JAX_PLATFORMS'] = 'cpu'

  def apply(*args):
    done = subprocess.run(
      [sys.executable, '-P', site / 'bin' / 'inception-jax', *args],
      cwd=folder,
      env=env,
      capture_output=True,
      text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

  apply.folder = folder
  return apply


def result(stdout: str) -> dict:
  return json.loads(stdout.splitlines()[-1])


@pytest.mark.slow
def test_installed_package_does_what_the_checkout_does(run):
  stdout = run('--help')
  assert all(f'  {name} ' in stdout for name in commands.COMMANDS)
  first = result(run(*TRAIN, '--config.train_for=2 steps'))
  assert first['step'] == 2
  # The same run, which resumes.
  last = result(run(*TRAIN, '--config.train_for=4 steps'))
  assert last['step'] == 4 and last['count'] == 360
  evaluated = result(run('eval', *TRAIN[1:]))
  assert evaluated['top1'] == last['top1']
  assert result(run('verify', '--workdir=run'))['damaged'] == []
  assert result(run('report', '--workdir=run'))
  assert (run.folder / 'run' / 'report' / 'index.html').exists()
  run('compare', 'run', 'run')
  exported = run(
    'export', '--workdir=run', '--format=onnx', '--output=net.onnx'
  )
  assert result(exported)['max_abs_diff'] < 1e-3
  pictures = run.folder / 'run' / 'report'
  images = sorted(map(str, pictures.rglob('*.png')))[:2]
  assert images
  predicted = run('predict', '--artifact=net.onnx', *images)
  assert result(predicted)['images'] == 2


def test_every_tool_is_a_command():
  tools = {
    path.stem
    for path in (ROOT / 'inception_jax' / 'tools').glob('*.py')
    if path.stem != '__init__'
  }
  assert tools == {module for module, _ in commands.COMMANDS.values()}
