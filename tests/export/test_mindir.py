"""MINDIR as far as it goes without mindspore; `make parity` has the rest."""

import dataclasses
import json
import sys

import jax
import numpy as np
import pytest

from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.export import artifact
from inception_jax.export import mindir
from inception_jax.weights import exporter
from inception_jax.weights import importer
from tests.parity import cases
from tests.parity import compare
from tests.parity import formula
from tests.support.commands import run

# In mindspore's place: it keeps what it is given, and as logits answers with
# the mean of each channel, from numpy alone.
ANSWERS = """
import json, pathlib, shutil, sys, numpy as np
folder = pathlib.Path(sys.argv[2])
assert pathlib.Path(sys.argv[1]).exists()
images = np.load(folder / 'images.npy')
np.save(folder / 'logits.npy', images.mean((2, 3)))
rounds = json.loads((folder / 'asked.json').read_text())['rounds']
(folder / 'seconds.json').write_text(json.dumps([0.5] * rounds))
shutil.copytree(folder, {seen!r})
(folder / 'network.mindir').write_text('a network')
(folder / 'network.mindir').chmod(0o400)
"""
FAILS = 'raise MemoryError("of mindspore")'


@pytest.fixture(scope='module')
def v3():
  # With an auxiliary head, of a kind that MindCV has not.
  case = cases.named('mindspore-inception_v3')
  with np.load(compare.golden_path(case)) as golden:
    return compare.weights_of(case, golden)


def other_side(tmp_path, program):
  """A Python that runs `program` whatever it is told to."""
  (tmp_path / 'side.py').write_text(program)
  path = tmp_path / 'python'
  path.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/side.py "$@"\n')
  path.chmod(0o755)
  return str(path)


def test_mindspore_is_given_all_of_the_network(tmp_path, v3):
  assert v3.model['aux_head']
  seen, path = tmp_path / 'seen', tmp_path / 'v3.mindir'
  python = other_side(tmp_path, ANSWERS.format(seen=str(seen)))
  images = formula.images(3, 8)
  own = exporter.without_aux(v3)
  logits, seconds = mindir.save(own, str(path), 5, python, images, 3)
  assert seconds == [0.5] * 3
  np.testing.assert_allclose(logits, images.mean((1, 2)), atol=1e-6)
  assert path.read_text() == 'a network'
  assert path.stat().st_mode == (seen / 'asked.json').stat().st_mode
  there = importer.load(str(seen / 'weights.ckpt'))
  assert there.origin == 'MindCV inception_v3'
  assert not there.model['aux_head']
  jax.tree.map(np.testing.assert_array_equal, own.variables, there.variables)
  asked = json.loads((seen / 'asked.json').read_text())
  assert asked['network'] == 'inception_v3'
  assert asked['num_classes'] == cases.NUM_CLASSES
  model, card, _ = artifact.about.parse(asked['says'], 'asked.json')
  assert (model, card) == (own.model, v3.card)
  assert json.loads(asked['says'])['step'] == 5


def test_what_fails_there_leaves_nothing(tmp_path, v3):
  python = other_side(tmp_path, FAILS)
  images = formula.images(3, 8)
  own = exporter.without_aux(v3)
  with pytest.raises(RunError, match='mindspore failed') as error:
    mindir.save(own, f'{tmp_path}/x.mindir', 0, python, images)
  assert str(error.value).endswith('MemoryError: of mindspore')
  assert not (tmp_path / 'x.mindir').exists()


@pytest.mark.parametrize(
  ('says', 'isa'), [('3.0', 'AVX2'), ('0.01', None), ('', None)]
)
def test_a_cpu_that_onednn_is_slow_on_gets_other_instructions(
  tmp_path, monkeypatch, says, isa
):
  python = other_side(tmp_path, f'print({says!r})')
  monkeypatch.delenv('ONEDNN_MAX_CPU_ISA', raising=False)
  assert mindir.environment(python).get('ONEDNN_MAX_CPU_ISA') == isa
  monkeypatch.setenv('ONEDNN_MAX_CPU_ISA', 'AVX512_CORE')
  assert mindir.environment(python)['ONEDNN_MAX_CPU_ISA'] == 'AVX512_CORE'


def test_networks_that_mindcv_lacks_are_refused(tmp_path, v3):
  def faults(**model):
    other = dataclasses.replace(v3, model={**v3.model, **model})
    with pytest.raises(UserError) as error:
      mindir.save(other, f'{tmp_path}/x.mindir', 0, 'none', np.zeros((1,) * 4))
    return error.value.faults

  assert faults(name='inception_resnet_v2') == (
    'MindCV has no inception_resnet_v2, only inception_v3, inception_v4',
  )
  _, *others = faults(width=0.5)
  assert [fault.strip() for fault in others] == [
    'model.width=0.5, 1.0 there',
    'model.aux_batch_norm=False, True there',
  ]
  assert list(tmp_path.iterdir()) == []


def test_a_python_without_mindspore_is_refused(tmp_path):
  done = run(
    '--format=mindir',
    f'--mindspore={sys.executable}',
    f'--workdir={tmp_path}',
    f'--output={tmp_path}/x.onnx',
    program=('-m', 'inception_jax.tools.export'),
  )
  assert done.returncode == 2
  assert done.stderr.splitlines() == [
    f'error: --mindspore={sys.executable} has no mindspore and mindcv: '
    '`make .venv-mindspore/ready` makes one',
    f'error: --output={tmp_path}/x.onnx: expected a name that ends in .mindir',
  ]
  no_program = tmp_path / 'python'
  no_program.write_bytes(b'\x00')
  no_program.chmod(0o755)
  for python in (f'{tmp_path}/none', str(no_program), str(tmp_path)):
    assert mindir.missing(python) == (
      'is no Python: `make .venv-mindspore/ready` makes one that has mindspore '
      'and mindcv'
    )
  # Packages of both names are enough to try.
  for name in ('mindspore', 'mindcv'):
    (tmp_path / name).mkdir()
    (tmp_path / name / '__init__.py').write_text('')
  with_both = tmp_path / 'with_both'
  with_both.write_text(
    f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n'
  )
  with_both.chmod(0o755)
  assert mindir.missing(str(with_both)) == ''
  (tmp_path / 'mindcv').rename(tmp_path / 'other')
  assert 'has no mindspore and mindcv' in mindir.missing(str(with_both))


def test_a_mindir_is_not_run_here(tmp_path):
  path = tmp_path / 'x.mindir'
  with pytest.raises(UserError, match='no such artifact'):
    artifact.load(str(path))
  path.write_text('a network')
  with pytest.raises(UserError, match='a MINDIR is run by mindspore'):
    artifact.load(str(path))
