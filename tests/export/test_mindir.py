"""MINDIR and AIR with layers in NumPy; `make parity` uses mindspore's."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from configs import cifar100_inception_v4
from configs import mindspore_inception_v4
from inception_jax.errors import RunError
from inception_jax.export import comparison
from inception_jax.export import formats
from inception_jax.export import metadata
from inception_jax.export import mindir
from inception_jax.export.format import Options
from inception_jax.models import architectures
from inception_jax.models import factory
from inception_jax.models import specs
from inception_jax.models.card import Card
from inception_jax.models.specs import conv
from inception_jax.models.specs import mixed
from inception_jax.weights import mindspore_file
from inception_jax.weights.convert import Weights
from tests.support.commands import ROOT
from tests.support.commands import run
from tests.support.pictures import random_variables
from tests.support.pictures import random_weights

FAKE = ROOT / 'tests' / 'support' / 'fake_mindspore'
FAILING = 'raise MemoryError("of mindspore")'
_BRANCHES = mixed(conv(8), (conv(8), conv(8, 1, 3)))
# Every kind of stage, and every padding.
STAGES = specs.Architecture(
  stems={'small': (('conv_1a', conv(8, 3, **specs.DOWN)),)},
  body=(
    ('pool_1b', specs.Pool('max', strides=2, padding=specs.PAD_1)),
    (
      'mixed_2a',
      mixed(
        (conv(8), mixed(conv(8, 1, 3), conv(16, 3, 1))),
        (specs.AVG_POOL, conv(8)),
        specs.MAX_POOL,
      ),
    ),
    ('block_1', specs.ProjectedResidual(_BRANCHES, features=24, scale=0.5)),
    ('block_2', specs.Residual(_BRANCHES, scale=0.2)),
    ('conv_3a', conv(8, 3, strides=2, padding=specs.PAD_1)),
    ('block_3', specs.Residual(_BRANCHES, scale=1.0, relu=False)),
    ('pool_4a', specs.Pool('avg', 2, 1, 'VALID')),
  ),
  card=Card(),
)


@pytest.fixture
def every_stage(monkeypatch):
  """Returns the weights of a network of `STAGES`, with fields overridden."""
  monkeypatch.setitem(architectures.ARCHITECTURES, 'stages', STAGES)

  def make(**fields):
    network = architectures.published('stages', 7, **fields)
    variables = random_variables(architectures.create(network), 25)
    card = dataclasses.replace(Card(), input_size=25)
    return Weights('random', network, card, variables)

  return make


@pytest.fixture
def fake(tmp_path, monkeypatch):
  """Returns a Python interpreter that has the layers in NumPy as mindspore."""
  monkeypatch.setenv('ONEDNN_MAX_CPU_ISA', 'AVX2')  # nothing is probed
  path = tmp_path / 'fake'
  path.write_text(
    f'#!/bin/sh\nPYTHONPATH={FAKE}:{ROOT} exec {sys.executable} "$@"\n'
  )
  path.chmod(0o755)
  return str(path)


def interpreter(tmp_path, program):
  """Returns an interpreter that runs `program`, whatever its arguments."""
  (tmp_path / 'program.py').write_text(program)
  path = tmp_path / 'python'
  path.write_text(
    f'#!/bin/sh\nexec {sys.executable} {tmp_path}/program.py "$@"\n'
  )
  path.chmod(0o755)
  return str(path)


def export(name, weights, path, python):
  """Exports in a format; returns the differences, and what runs it."""
  file_format = formats.FORMATS[name]
  weights = file_format.without_unsupported(weights)
  exported = file_format.save(weights, path, 5, Options(mindspore=python))
  return file_format.compare(weights, exported), exported


@pytest.mark.parametrize(
  'fields',
  [
    {'count_include_pad': True, 'head_batch_norm': True, 'width': 2.0},
    {'count_include_pad': False},
  ],
)
def test_every_stage_is_built(tmp_path, every_stage, fake, fields):
  path = tmp_path / 'x.mindir'
  weights = every_stage(**fields)
  differences, exported = export('mindir', weights, str(path), fake)
  assert differences['relative_diff'] < 1e-5
  assert path.stat().st_mode & 0o044
  about = json.loads(path.read_text())[metadata.KEY]
  network, card, _ = metadata.from_json(about, 'x')
  assert (network, card) == (weights.network, weights.card)
  assert json.loads(about)['step'] == 5
  other = lambda x: {'logits': 1.01 * exported(x)['logits']}
  differences = formats.FORMATS['mindir'].compare(weights, other)
  assert differences['relative_diff'] == pytest.approx(0.01, abs=1e-5)
  with pytest.raises(RunError, match='differs too much'):
    formats.check_bound('mindir', differences)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('recipe', 'size'),
  [(mindspore_inception_v4, 75), (cifar100_inception_v4, 32)],
)
def test_recipes_are_exported(tmp_path, fake, recipe, size):
  config = recipe.get_config()
  config.model.width = 0.1
  config.data.image_size = size
  weights = random_weights(factory.resolve(config), 10)
  path = str(tmp_path / 'x.mindir')
  differences, _ = export('mindir', weights, path, fake)
  assert differences['relative_diff'] < 1e-5


def test_rounds_are_timed(tmp_path, every_stage, fake):
  images = comparison.normalize(every_stage().card)
  path = str(tmp_path / 'x.mindir')
  _, seconds = mindir.save(every_stage(), path, 0, fake, images, 3)
  assert len(seconds) == 3


def test_air_is_made_where_ascend_is(tmp_path, every_stage, fake):
  path = tmp_path / 'air'
  weights = every_stage(head_batch_norm=True)
  differences, _ = export('air', weights, str(path), fake)
  assert differences['relative_diff'] < 1e-5
  names = ['export_air.py', 'network.json', 'weights.ckpt']
  assert sorted(os.listdir(path)) == names
  tensors = mindspore_file.read(str(path / 'weights.ckpt'))
  kernel = tensors['mixed_2a.branch0_1.branch1_0.conv.weight']
  assert kernel.shape == (16, 8, 3, 1)
  program = [fake, str(path / 'export_air.py')]
  done = subprocess.run(program, capture_output=True, text=True)
  assert done.returncode == 2
  assert done.stderr == 'error: no Ascend device here: there is no Ascend\n'
  next_step = formats.FORMATS['air'].next_step % path
  assert f'`python {path}/export_air.py`' in next_step


def test_weights_must_be_the_networks(tmp_path, every_stage, fake):
  path = tmp_path / 'air'
  export('air', every_stage(), str(path), fake)
  tensors = mindspore_file.read(str(path / 'weights.ckpt'))
  tensors['other.bias'] = tensors.pop('conv_3a.conv.bias')
  mindspore_file.write(str(path / 'weights.ckpt'), tensors)
  program = [fake, str(path / 'export_air.py'), 'MINDIR']
  done = subprocess.run(program, capture_output=True, text=True)
  assert done.returncode == 1
  assert "(['conv_3a.conv.bias'], ['other.bias'])" in done.stderr


def test_failure_of_mindspore_writes_nothing(tmp_path, every_stage):
  python = interpreter(tmp_path, FAILING)
  weights = every_stage()
  images = comparison.normalize(weights.card)
  with pytest.raises(RunError, match='mindspore failed') as error:
    mindir.save(weights, f'{tmp_path}/x.mindir', 0, python, images)
  assert str(error.value).endswith('MemoryError: of mindspore')
  assert not (tmp_path / 'x.mindir').exists()


@pytest.mark.parametrize(
  ('output', 'isa'), [('3.0', 'AVX2'), ('0.01', None), ('', None)]
)
def test_slow_convolutions_select_avx2(tmp_path, monkeypatch, output, isa):
  python = interpreter(tmp_path, f'print({output!r})')
  monkeypatch.delenv('ONEDNN_MAX_CPU_ISA', raising=False)
  assert mindir.environment(python).get('ONEDNN_MAX_CPU_ISA') == isa
  monkeypatch.setenv('ONEDNN_MAX_CPU_ISA', 'AVX512_CORE')
  assert mindir.environment(python)['ONEDNN_MAX_CPU_ISA'] == 'AVX512_CORE'


def test_interpreters_without_mindspore_are_refused(tmp_path):
  done = run(
    '--format=mindir',
    f'--mindspore={sys.executable}',
    f'--workdir={tmp_path}',
    f'--output={tmp_path}/x.onnx',
    program=('-m', 'inception_jax.tools.export'),
  )
  hint = '`make .venv-mindspore/ready` creates one with mindspore and mindcv'
  assert done.returncode == 2
  assert done.stderr.splitlines() == [
    f'error: --mindspore={sys.executable} lacks mindspore; {hint}',
    f'error: --output={tmp_path}/x.onnx: expected a name that ends in .mindir',
  ]
  not_a_program = tmp_path / 'python'
  not_a_program.write_bytes(b'\x00')
  not_a_program.chmod(0o755)
  for python in (f'{tmp_path}/none', str(not_a_program), str(tmp_path)):
    fault = mindir.cannot_export(python)
    assert fault == f'is not a Python interpreter; {hint}'


def test_packages_are_looked_for_and_not_imported(tmp_path):
  for name in ('mindspore', 'mindcv'):
    (tmp_path / name).mkdir()
    (tmp_path / name / '__init__.py').write_text('raise MemoryError')
  with_both = tmp_path / 'with_both'
  with_both.write_text(
    f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n'
  )
  with_both.chmod(0o755)
  assert mindir.cannot_export(str(with_both), 'mindcv') == ''
  (tmp_path / 'mindcv').rename(tmp_path / 'other')
  assert mindir.cannot_export(str(with_both)) == ''
  fault = mindir.cannot_export(str(with_both), 'mindcv')
  assert fault.startswith('lacks mindspore or mindcv; ')


def test_modules_in_the_working_folder_are_not_imported(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.delenv('ONEDNN_MAX_CPU_ISA', raising=False)
  for name in ('mindspore', 'mindcv', 'time', 'importlib'):
    (tmp_path / f'{name}.py').write_text('open("trace", "w")')
  assert 'lacks mindspore' in mindir.cannot_export(sys.executable)
  mindir.environment(sys.executable)
  assert not (tmp_path / 'trace').exists()
