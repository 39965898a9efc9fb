"""MINDIR export with a stand-in for mindspore; `make parity` uses mindspore."""

import dataclasses
import json
import sys

import jax
import numpy as np
import pytest

from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.export import comparison
from inception_jax.export import formats
from inception_jax.export import metadata
from inception_jax.export import mindir
from inception_jax.export.format import Options
from inception_jax.models import architectures
from inception_jax.weights import exporter
from inception_jax.weights import importer
from tests.parity import cases
from tests.parity import compare
from tests.parity import formula
from tests.support.commands import run

# Copies its input to `received` and takes the logits from the given expression.
STAND_IN = """
import json, pathlib, shutil, sys, numpy as np
folder = pathlib.Path(sys.argv[2])
assert pathlib.Path(sys.argv[1]).exists()
images = np.load(folder / 'images.npy')
np.save(folder / 'logits.npy', {logits})
rounds = json.loads((folder / 'request.json').read_text())['rounds']
(folder / 'seconds.json').write_text(json.dumps([0.5] * rounds))
shutil.copytree(folder, {received!r})
(folder / 'network.mindir').write_text('a network')
(folder / 'network.mindir').chmod(0o400)
"""
FAILING = 'raise MemoryError("of mindspore")'


@pytest.fixture(scope='module')
def v3():
  # Its auxiliary head has no BatchNorm, unlike MindCV's.
  case = cases.named('mindspore-inception_v3')
  with np.load(compare.golden_path(case)) as golden:
    return compare.weights_of(case, golden)


def interpreter(tmp_path, program):
  """Returns an interpreter that runs `program`, whatever its arguments."""
  (tmp_path / 'program.py').write_text(program)
  path = tmp_path / 'python'
  path.write_text(
    f'#!/bin/sh\nexec {sys.executable} {tmp_path}/program.py "$@"\n'
  )
  path.chmod(0o755)
  return str(path)


def stand_in(tmp_path, logits):
  """Returns the stand-in's interpreter, and the folder of what it receives."""
  received = tmp_path / 'received'
  program = STAND_IN.format(logits=logits, received=str(received))
  return interpreter(tmp_path, program), received


def test_mindspore_receives_the_whole_network(tmp_path, v3):
  assert v3.network.aux_head
  path = tmp_path / 'v3.mindir'
  python, received = stand_in(tmp_path, 'images.mean((2, 3))')
  images = formula.images(3, 8)
  exported = exporter.without_aux(v3)
  logits, seconds = mindir.save(exported, str(path), 5, python, images, 3)
  assert seconds == [0.5] * 3
  np.testing.assert_allclose(logits, images.mean((1, 2)), atol=1e-6)
  assert path.read_text() == 'a network'
  assert path.stat().st_mode == (received / 'request.json').stat().st_mode
  weights = importer.load(str(received / 'weights.ckpt'))
  assert weights.origin == 'MindCV inception_v3'
  assert not weights.network.aux_head
  jax.tree.map(
    np.testing.assert_array_equal, exported.variables, weights.variables
  )
  request = json.loads((received / 'request.json').read_text())
  assert request['network'] == 'inception_v3'
  assert request['num_classes'] == cases.NUM_CLASSES
  network, card, _ = metadata.from_json(request['metadata'], 'request.json')
  assert (network, card) == (exported.network, v3.card)
  assert json.loads(request['metadata'])['step'] == 5


@pytest.mark.slow
def test_logits_of_mindspore_are_compared(tmp_path, v3):
  card = dataclasses.replace(v3.card, input_size=75)
  file_format = formats.FORMATS['mindir']
  exported = file_format.without_unsupported(dataclasses.replace(v3, card=card))
  model = architectures.create(exported.network)
  images = comparison.normalize(card)
  logits = jax.jit(model.apply)(exported.variables, images)[0]
  answer = tmp_path / 'answer.npy'
  np.save(answer, logits)
  python, _ = stand_in(tmp_path, f'np.load({str(answer)!r})')
  path = str(tmp_path / 'x.mindir')
  run = file_format.save(exported, path, 0, Options(mindspore=python))
  differences = file_format.compare(exported, run)
  assert differences['relative_diff'] < 1e-5
  formats.check_bound('mindir', differences)
  differences = file_format.compare(
    exported, lambda x: {'logits': 1.01 * run(x)['logits']}
  )
  assert differences['relative_diff'] == pytest.approx(0.01, abs=1e-5)
  with pytest.raises(RunError, match='differs too much'):
    formats.check_bound('mindir', differences)


def test_failure_of_mindspore_writes_nothing(tmp_path, v3):
  python = interpreter(tmp_path, FAILING)
  images = formula.images(3, 8)
  exported = exporter.without_aux(v3)
  with pytest.raises(RunError, match='mindspore failed') as error:
    mindir.save(exported, f'{tmp_path}/x.mindir', 0, python, images)
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


def test_networks_that_mindcv_lacks_are_refused(tmp_path, v3):
  def faults(**changes):
    network = dataclasses.replace(v3.network, **changes)
    other = dataclasses.replace(v3, network=network)
    with pytest.raises(UserError) as error:
      mindir.save(other, f'{tmp_path}/x.mindir', 0, 'none', np.zeros((1,) * 4))
    return error.value.faults

  hint = '--format=onnx, stablehlo, savedmodel and litert hold every network'
  assert faults(name='inception_resnet_v2') == (
    'MindCV does not have inception_resnet_v2, only inception_v3, '
    f'inception_v4; {hint}',
  )
  _, *others, last = faults(width=0.5)
  assert last.strip() == hint
  assert [fault.strip() for fault in others] == [
    'model.width=0.5, but 1.0 there',
    'model.aux_batch_norm=False, but True there',
  ]
  assert list(tmp_path.iterdir()) == []


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
    f'error: --mindspore={sys.executable} lacks mindspore or mindcv; {hint}',
    f'error: --output={tmp_path}/x.onnx: expected a name that ends in .mindir',
  ]
  not_a_program = tmp_path / 'python'
  not_a_program.write_bytes(b'\x00')
  not_a_program.chmod(0o755)
  for python in (f'{tmp_path}/none', str(not_a_program), str(tmp_path)):
    fault = mindir.cannot_export(python)
    assert fault == f'is not a Python interpreter; {hint}'
  # The packages are looked for, not imported.
  for name in ('mindspore', 'mindcv'):
    (tmp_path / name).mkdir()
    (tmp_path / name / '__init__.py').write_text('')
  with_both = tmp_path / 'with_both'
  with_both.write_text(
    f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n'
  )
  with_both.chmod(0o755)
  assert mindir.cannot_export(str(with_both)) == ''
  (tmp_path / 'mindcv').rename(tmp_path / 'other')
  assert 'lacks mindspore or mindcv' in mindir.cannot_export(str(with_both))


def test_modules_in_the_working_folder_are_not_imported(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.delenv('ONEDNN_MAX_CPU_ISA', raising=False)
  for name in ('mindspore', 'mindcv', 'time', 'importlib'):
    (tmp_path / f'{name}.py').write_text('open("trace", "w")')
  assert 'lacks mindspore or mindcv' in mindir.cannot_export(sys.executable)
  mindir.environment(sys.executable)
  assert not (tmp_path / 'trace').exists()
