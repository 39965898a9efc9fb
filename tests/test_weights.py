"""Weights of other frameworks, by formula, against what those computed.

The golden files are written by tests/parity/foreign.py, which calls the real
packages.
"""

import json
import pathlib

import numpy as np
import pytest

from inception_jax import fine_tune
from inception_jax import models
from inception_jax import weights as weights_lib
from inception_jax.config import UserError
from inception_jax.weights import convert
from inception_jax.weights import mindspore_file
from inception_jax.weights import sources
from tests.parity import cases
from tests.parity import compare

GOLDEN = pathlib.Path(__file__).parent / 'parity' / 'golden'


def golden(name):
  (path,) = GOLDEN.glob(f'{name}-*.npz')
  return np.load(path), int(path.stem.split('-')[-1])


def imported(case):
  source = compare.source_of(case)
  file, size = golden(case.name)
  tensors = compare.tensors(file, source.style.oihw)
  return convert.from_source(tensors, source, '', 'file'), source, file, size


@pytest.mark.parametrize('case', cases.CASES, ids=lambda c: c.name)
def test_every_tensor_has_its_place(case):
  file, _ = golden(case.name)
  source = compare.source_of(case)
  tensors = compare.tensors(file, source.style.oihw)
  others = [s for s in sources.SOURCES if s.framework != 'torchvision']
  found, prefix = convert.recognise(tensors, others)
  if case.source != 'torchvision':
    assert (found, prefix) == (source, '')
  weights = convert.from_source(dict(tensors), source, '', 'file')
  assert weights.model['num_classes'] == cases.NUM_CLASSES
  # One tensor less and one more: both are named.
  name = json.loads(str(file['gradient_names']))[0]
  tensors['stray.weight'] = np.zeros((2, 2), np.float32)
  del tensors[name]
  with pytest.raises(UserError) as error:
    convert.from_source(tensors, source, '', 'file')
  assert any(name in fault for fault in error.value.faults)
  assert any('stray.weight' in fault for fault in error.value.faults)


@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  ['timm-inception_v3', 'mindcv-inception_v4', 'keras-inception_v3'],
)
def test_logits_and_gradients_agree(name):
  (case,) = [case for case in cases.CASES if case.name == name]
  weights, source, file, size = imported(case)
  found = compare.differences(case, weights, source, file, size)
  assert found['eval'] < cases.LOGITS
  assert found['train'] < cases.LOGITS
  assert found['gradient'] < cases.GRADIENTS


def test_written_files_read_back(tmp_path):
  (case,) = [c for c in cases.CASES if c.name == 'timm-inception_v3']
  weights, *_ = imported(case)
  path = str(tmp_path / 'v3.safetensors')
  weights_lib.save(weights, path, 'timm')
  assert weights_lib.difference(weights, weights_lib.load(path)) == 0
  with pytest.raises(UserError, match='padding is ignored'):
    weights_lib.save(weights, str(tmp_path / 'v3.ckpt'), 'mindcv')
  content = pathlib.Path(path).read_bytes()
  for broken in (content[:1000], b'', b'\x80\x04junk'):
    pathlib.Path(path).write_bytes(broken)
    with pytest.raises(UserError, match='cannot be read'):
      weights_lib.load(path)


def test_mindspore_files_say_when_they_are_damaged(tmp_path):
  path = tmp_path / 'x.ckpt'
  tensors = {'a': np.arange(6, dtype=np.float32).reshape(2, 3)}
  mindspore_file.write(str(path), tensors)
  np.testing.assert_array_equal(
    mindspore_file.read(str(path))['a'], tensors['a']
  )
  with pytest.raises(UserError, match='of no network known here'):
    weights_lib.load(str(path))
  path.write_bytes(path.read_bytes()[:-5])
  with pytest.raises(UserError, match='cannot be read'):
    weights_lib.load(str(path))


def test_another_number_of_classes_makes_new_heads(caplog):
  import jax
  import jax.numpy as jnp

  (case,) = [c for c in cases.CASES if c.name == 'timm-inception_v3']
  weights, *_ = imported(case)
  model = models.create('inception_v3', 5, aux_head=True)
  shapes = jax.eval_shape(
    model.init, jax.random.key(0), jnp.zeros((1, 299, 299, 1))
  )
  fresh = jax.tree.map(lambda x: jnp.zeros(x.shape), shapes)
  with caplog.at_level('INFO', 'inception_jax'):
    tuned = fine_tune.graft(fresh, weights)
  assert '7 → 5 classes' in caplog.text
  assert 'auxiliary head is made anew' in caplog.text
  assert 'summed over its 3 channels' in caplog.text
  theirs = weights.variables['params']
  np.testing.assert_allclose(
    tuned['params']['conv_1a']['conv']['kernel'],
    theirs['conv_1a']['conv']['kernel'].sum(2, keepdims=True),
    rtol=1e-6,
    atol=1e-6,
  )
  np.testing.assert_array_equal(
    tuned['params']['conv_2a']['conv']['kernel'],
    theirs['conv_2a']['conv']['kernel'],
  )
  assert not tuned['params']['head']['dense']['kernel'].any()
  other = models.create('inception_v4', 5)
  shapes = jax.eval_shape(
    other.init, jax.random.key(0), jnp.zeros((1, 299, 299, 3))
  )
  with pytest.raises(UserError, match='does not fit'):
    fine_tune.graft(jax.tree.map(lambda x: jnp.zeros(x.shape), shapes), weights)
