"""Optional packages: what needs them says which extra installs them."""

import json
import os
import re
import subprocess
import sys
import tomllib

import pytest

from inception_jax import extras
from inception_jax.errors import UserError
from inception_jax.export import formats
from inception_jax.report import figures
from inception_jax.report import templates
from inception_jax.weights import hub
from tests.support import pages
from tests.support.commands import ROOT
from tests.support.commands import UNOPTIMISED

PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
# As `import` and `pip install` name them.
_DISTRIBUTIONS = {'ai_edge_litert': 'ai-edge-litert'}
_ACCELERATORS = {'cuda12', 'cuda13', 'tpu'}
# Refuses the optional packages, as if they were not installed.
WITHOUT = f"""
import sys

class Refuse:
  def find_spec(self, name, path=None, target=None):
    if name.partition('.')[0] in {set(extras.EXTRAS)}:
      raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)

sys.meta_path.insert(0, Refuse())
sys.argv[0] = 'inception-jax'
from inception_jax import __main__
from tests.support import tiny
__main__.main()
"""


def test_extras_are_those_of_the_errors_and_of_the_page():
  optional = PROJECT['optional-dependencies']
  own = optional.keys() - {'all', *_ACCELERATORS}
  stated = {
    extra: {
      _DISTRIBUTIONS.get(module, module)
      for module, each in extras.EXTRAS.items()
      if each == extra
    }
    for extra in own
  }
  assert stated == {
    name: {re.split('[>=]', x)[0] for x in optional[name]} for name in own
  }
  (whole,) = optional['all']
  assert set(re.findall(r'\w+', whole.partition('[')[2])) == own
  spans = pages.spans((ROOT / 'docs/installation.md').read_text())
  assert {f'[{name}]' for name in optional} <= set(spans)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """Runs a command where no optional package is installed."""
  folder = tmp_path_factory.mktemp('base')
  env = {**os.environ, 'PYTHONPATH': str(ROOT), 'XLA_FLAGS': UNOPTIMISED}

  def apply(*args):
    return subprocess.run(
      [sys.executable, '-P', '-c', WITHOUT, *args],
      cwd=folder,
      env={**env, 'JAX_PLATFORMS': 'cpu'},
      capture_output=True,
      text=True,
    )

  apply.folder = folder
  return apply


@pytest.mark.slow
def test_without_extras_a_network_is_trained_resumed_and_evaluated(run):
  train = (
    '--config=digits',
    '--workdir=run',
    '--config.model.name=tiniest',
    '--config.model.aux_head=False',
    '--config.data.image_size=9',
    '--config.batch_size=32',
  )
  for steps in (1, 2):
    done = run('train', *train, f'--config.train_for={steps} steps')
    assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert result['step'] == 2 and result['count'] == 360


def line(extra, modules):
  return f"{modules} not installed: pip install 'inception-jax[{extra}]'"


REPORT = line('report', 'jinja2, matplotlib are')


@pytest.mark.slow
@pytest.mark.parametrize(
  'command, fault',
  [
    ('report --workdir=x', REPORT),
    (
      'find-rate --config=digits --output=x',
      line('report', 'matplotlib is'),
    ),
    ('prepare --source=folder --data_dir=. --describe=x.html', REPORT),
    (
      'export --workdir=x --format=onnx --output=x.onnx',
      line('export', 'jax2onnx, onnx, onnxruntime are'),
    ),
    ('predict --checkpoint=./x.h5 x.h5', line('keras', 'h5py is')),
  ],
)
def test_a_command_says_what_installs_it_before_it_begins(run, command, fault):
  (run.folder / 'x.h5').write_bytes(b'\x89HDF\r\n\x1a\n')
  done = run(*command.split())
  assert f'error: {fault}\n' in done.stderr
  assert 'Traceback' not in done.stderr and done.stderr.count('pip') == 1
  assert done.returncode == 2 and not done.stdout
  assert not (run.folder / 'x').exists()


@pytest.fixture
def absent(monkeypatch):
  """No optional package is installed, as far as this process can tell."""
  for module in extras.EXTRAS:
    monkeypatch.setitem(sys.modules, module, None)


EARLIER = str(ROOT / 'tests' / 'earlier_version' / 'network')


@pytest.mark.parametrize(
  'use, fault',
  [
    (lambda: formats.load(f'{EARLIER}.onnx'), line('export', 'onnx is')),
    (
      lambda: formats.load(f'{EARLIER}.tflite', trust=True),
      line('export', 'ai_edge_litert is'),
    ),
    (lambda: hub.download('hf-hub:a/b'), line('hub', 'huggingface_hub is')),
    (lambda: templates.render('page.html.j2'), line('report', 'jinja2 is')),
    (
      lambda: figures.figure('x', 'x', None),
      line('report', 'matplotlib is'),
    ),
  ],
)
def test_a_function_says_what_installs_its_packages(absent, use, fault):
  with pytest.raises(UserError) as caught:
    use()
  assert caught.value.faults == (fault,)


def test_formats_that_need_no_extra_are_saved(absent):
  faults = {x: y.cannot_save('') for x, y in formats.FORMATS.items()}
  litert = line('export', 'ai_edge_litert is')
  assert faults['litert'] == faults['litert_int8'] == litert
  assert faults['onnx'].endswith("[export]'")
  free = ('stablehlo', 'savedmodel', 'timm', 'mindcv', 'hub')
  assert not any(faults[name] for name in free)


def test_other_imports_fail_as_they_are():
  with pytest.raises(UserError, match=r"onnx is not.*jax\[export\]'"):
    with extras.imports():
      raise ModuleNotFoundError("No module named 'onnx'", name='onnx.helper')
  with pytest.raises(ModuleNotFoundError):
    with extras.imports():
      raise ModuleNotFoundError("No module named 'x'", name='x')
  assert extras.missing(*extras.EXTRAS) == []
