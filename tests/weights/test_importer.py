"""Files of other frameworks: names, shapes, faults.

The golden files are written by tests/parity/foreign.py, which calls the real
packages.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import inception_jax
from inception_jax.errors import UserError
from inception_jax.models import factory
from inception_jax.weights import convert
from inception_jax.weights import exporter
from inception_jax.weights import importer
from inception_jax.weights import mindspore_file
from inception_jax.weights import sources
from inception_jax.weights import transfer
from tests.parity import cases
from tests.parity import compare


@pytest.fixture(scope='module')
def timm_v3():
  case = cases.named('timm-inception_v3')
  with np.load(compare.golden_path(case)) as golden:
    return compare.weights_of(case, golden)


def shaped(case):
  """The source of a case, and a tensor of each shape that its file has."""
  with np.load(compare.golden_path(case)) as file:
    shapes = json.loads(str(file['tensors']))
  one = np.float32(1)
  return compare.source_of(case), {
    name: np.broadcast_to(one, shape) for name, shape in shapes.items()
  }


@pytest.mark.parametrize('case', cases.CASES, ids=lambda c: c.name)
def test_every_tensor_has_its_place(case):
  source, tensors = shaped(case)
  others = [s for s in sources.SOURCES if s.framework != 'torchvision']
  found, prefix = convert.recognise(tensors, others)
  if case.source != 'torchvision':
    assert (found, prefix) == (source, '')
  weights = convert.from_source(dict(tensors), source, '', 'file')
  assert weights.model['num_classes'] == cases.NUM_CLASSES
  # One tensor less and one more: both are named.
  del tensors[name := next(iter(tensors))]
  tensors['stray.weight'] = np.zeros((2, 2), np.float32)
  with pytest.raises(UserError) as error:
    convert.from_source(tensors, source, '', 'file')
  assert any(name in fault for fault in error.value.faults)
  assert any('stray.weight' in fault for fault in error.value.faults)


def test_written_files_read_back(tmp_path, timm_v3):
  path = str(tmp_path / 'v3.safetensors')
  exporter.save(timm_v3, path, 'timm')
  assert exporter.difference(timm_v3, importer.load(path)) == 0
  with pytest.raises(UserError, match='padding is ignored'):
    exporter.save(timm_v3, str(tmp_path / 'v3.ckpt'), 'mindcv')
  content = pathlib.Path(path).read_bytes()
  for broken in (content[:1000], b'', b'\x80\x04junk'):
    pathlib.Path(path).write_bytes(broken)
    with pytest.raises(UserError, match='cannot be read'):
      importer.load(path)


def test_mindspore_files_say_when_they_are_damaged(tmp_path):
  path = tmp_path / 'x.ckpt'
  tensors = {'a': np.arange(6, dtype=np.float32).reshape(2, 3)}
  mindspore_file.write(str(path), tensors)
  np.testing.assert_array_equal(
    mindspore_file.read(str(path))['a'], tensors['a']
  )
  with pytest.raises(UserError, match='of no network known here'):
    importer.load(str(path))
  path.write_bytes(path.read_bytes()[:-5])
  with pytest.raises(UserError, match='cannot be read'):
    importer.load(str(path))


def test_another_number_of_classes_makes_new_heads(caplog, timm_v3):
  model = factory.create('inception_v3', 5, aux_head=True)
  shapes = jax.eval_shape(
    model.init, jax.random.key(0), jnp.zeros((1, 299, 299, 1))
  )
  fresh = jax.tree.map(lambda x: jnp.zeros(x.shape), shapes)
  with caplog.at_level('INFO', 'inception_jax'):
    tuned = transfer.transfer(fresh, timm_v3)
  assert '7 → 5 classes' in caplog.text
  assert 'auxiliary head is made anew' in caplog.text
  assert 'summed over its 3 channels' in caplog.text
  theirs = timm_v3.variables['params']
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
  other = factory.create('inception_v4', 5)
  shapes = jax.eval_shape(
    other.init, jax.random.key(0), jnp.zeros((1, 299, 299, 3))
  )
  with pytest.raises(UserError, match='does not fit'):
    transfer.transfer(
      jax.tree.map(lambda x: jnp.zeros(x.shape), shapes), timm_v3
    )


def test_an_auxiliary_head_of_another_grid_is_made_anew(caplog):
  case = cases.named('mindspore-inception_v3')
  with np.load(compare.golden_path(case)) as golden:
    weights = compare.weights_of(case, golden)
  assert weights.model['aux_head']

  def fresh(size):
    model = factory.create(**weights.model, card=weights.card)
    images = jnp.zeros((1, size, size, 3))
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    return jax.tree.map(lambda x: jnp.zeros(x.shape), shapes)

  with caplog.at_level('INFO', 'inception_jax'):
    tuned = transfer.transfer(fresh(299), weights)
    assert 'anew' not in caplog.text
    jax.tree.map(np.testing.assert_array_equal, tuned, weights.variables)
    # Its window spans the grid, which is smaller here.
    tuned = transfer.transfer(fresh(171), weights)
  assert 'the auxiliary head is made anew' in caplog.text
  assert not any(x.any() for x in jax.tree.leaves(tuned['params'].pop('aux')))
  theirs = dict(weights.variables['params'])
  del theirs['aux']
  jax.tree.map(np.testing.assert_array_equal, tuned['params'], theirs)


def test_load_pretrained(tmp_path, timm_v3):
  path = str(tmp_path / 'v3.safetensors')
  exporter.save(timm_v3, path, 'timm')
  model, variables, card = inception_jax.load_pretrained(path)
  assert card == timm_v3.card
  jax.tree.map(np.testing.assert_array_equal, variables, timm_v3.variables)
  images = jnp.zeros((1, 75, 75, 3))
  logits, aux = jax.eval_shape(model.apply, variables, images)
  assert (logits.shape, aux) == ((1, cases.NUM_CLASSES), None)

  model, variables, _ = inception_jax.load_pretrained(path, num_classes=5)
  logits, _ = jax.eval_shape(model.apply, variables, images)
  assert logits.shape == (1, 5)
  dense = variables['params']['head'].pop('dense')
  assert dense['kernel'].shape == (2048, 5) and dense['kernel'].any()
  jax.tree.map(
    np.testing.assert_array_equal,
    variables['params']['mixed_7c'],
    timm_v3.variables['params']['mixed_7c'],
  )
