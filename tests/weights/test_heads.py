"""Networks inside of larger models, with classifiers of any kind."""

import json
import tracemalloc

import jax
import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.weights import convert
from inception_jax.weights import matching
from inception_jax.weights import sources
from tests.parity import cases
from tests.parity import compare

TIMM = tuple(sources.TIMM.values())
V3, FEATURES = 'inception_v3', 2048


def constants(case):
  """Returns tensors of a case, each full of a number of its own."""
  with np.load(compare.golden_path(cases.named(case))) as file:
    shapes = json.loads(str(file['tensors']))
  return {
    name: np.broadcast_to(np.float32(i + 1), shape)
    for i, (name, shape) in enumerate(shapes.items())
  }


def load(tensors, candidates=TIMM):
  match = matching.match_source(tensors, candidates)
  return convert.to_weights(tensors, *match, 'x.pth')


def dense(outputs, inputs=FEATURES):
  return np.full((outputs, inputs), 2, np.float32)


def vector(size, value=3):
  return np.full((size,), value, np.float32)


def linear(name, outputs, inputs=FEATURES):
  return {
    f'{name}.weight': dense(outputs, inputs),
    f'{name}.bias': vector(outputs),
  }


@pytest.fixture(scope='module')
def whole():
  return constants('timm-inception_v3')


@pytest.fixture(scope='module')
def body(whole):
  return {k: x for k, x in whole.items() if not k.startswith('fc.')}


@pytest.fixture(scope='module')
def expected(whole):
  """The variables of `whole`."""
  return load(whole).variables


def check_body(weights, expected):
  for kind, tree in expected.items():
    for module, variables in tree.items():
      if module != 'head':
        jax.tree.map(
          np.testing.assert_array_equal,
          weights.variables[kind][module],
          variables,
        )


@pytest.mark.parametrize(
  'prefix',
  ['', 'module._orig_mod.', 'net.', 'base_model.', 'a.b0.c.conv.', 'model/x/'],
)
def test_prefixes_of_any_depth(whole, expected, prefix, caplog):
  tensors = {prefix + name: array for name, array in whole.items()}
  if prefix:
    tensors |= {'criterion.weight': vector(7), 'n_averaged': np.float32(4)}
    tensors |= linear('projector.0', 12)
  with caplog.at_level('INFO', 'inception_jax'):
    weights = load(tensors)
  jax.tree.map(np.testing.assert_array_equal, weights.variables, expected)
  ignored = 'outside of the network: criterion.weight, projector.0.weight'
  assert (ignored in caplog.text) == bool(prefix)


def test_the_moving_average_of_two_networks_is_used(whole, expected):
  tensors = {f'model.{name}': array + 1 for name, array in whole.items()}
  tensors |= {f'ema_model.module.{name}': x for name, x in whole.items()}
  jax.tree.map(np.testing.assert_array_equal, load(tensors).variables, expected)


@pytest.mark.parametrize(
  ('prefix', 'name', 'outputs'),
  [
    ('', 'fc', 1),
    ('', 'fc.1', 5),
    ('', 'fc_new', 5),
    ('model.', 'model.head.3.linear', 5),
    ('backbone.', 'classifier.linear', 5),
  ],
)
def test_one_dense_layer_of_any_name_is_the_classifier(
  body, expected, prefix, name, outputs, caplog
):
  tensors = {prefix + key: array for key, array in body.items()}
  tensors |= linear(name, outputs)
  if prefix:
    tensors['criterion.weight'] = vector(outputs)
  with caplog.at_level('INFO', 'inception_jax'):
    weights = load(tensors)
  assert weights.network.num_classes == outputs
  assert (f'the classifier is {name}, taken' in caplog.text) == (name != 'fc')
  head = weights.variables['params']['head']['dense']
  np.testing.assert_array_equal(head['kernel'], dense(outputs).T)
  np.testing.assert_array_equal(head['bias'], vector(outputs))
  check_body(weights, expected)


BATCH_NORM = {
  f'fc.0.{name}': vector(FEATURES)
  for name in ('weight', 'bias', 'running_mean', 'running_var')
}


@pytest.mark.parametrize(
  ('head', 'named'),
  [
    ({}, ''),
    (linear('fc.0', 64) | linear('fc.3', 5, 64), 'fc.0, fc.3'),
    (linear('last', 64) | linear('fc', 5, 64), 'last, fc'),
    (BATCH_NORM | linear('fc.1', 5), 'fc.0, fc.1'),
    (linear('fc.1', 5, 768), 'fc.1'),
    ({'fc.1.weight': dense(5)}, 'fc.1'),
  ],
  ids=['none', 'two', 'two with its name', 'BatchNorm', 'of others', 'no bias'],
)
def test_other_heads_are_named_and_left_out(
  body, expected, head, named, caplog
):
  with caplog.at_level('INFO', 'inception_jax'):
    weights = load(body | head)
  assert weights.network.num_classes == 0
  assert 'head' not in weights.variables['params']
  assert 'imported without a classifier' in caplog.text
  reason = f'not one dense layer on the pooled features, ignored: {named}'
  assert (reason in caplog.text) == bool(head)
  check_body(weights, expected)


@pytest.mark.parametrize('head', [{}, linear('fc_new', 5)])
@pytest.mark.parametrize('prefix', ['', 'model.'])
def test_unknown_tensors_of_the_body_are_faults(body, head, prefix):
  tensors = body | head
  tensors['Mixed_5b.attention.weight'] = dense(3, 3)
  missing = next(iter(body))
  del tensors[missing]
  with pytest.raises(UserError) as error:
    load({prefix + name: array for name, array in tensors.items()})
  assert [fault.strip() for fault in error.value.faults[1:]] == [
    f'{missing}: missing',
    'Mixed_5b.attention.weight: not part of this network',
  ]


def aux_head(outputs):
  conv = lambda name, *shape: {
    f'AuxLogits.{name}.conv.weight': np.ones(shape, np.float32),
    **{
      f'AuxLogits.{name}.bn.{vector_name}': vector(shape[0])
      for vector_name in ('weight', 'bias', 'running_mean', 'running_var')
    },
  }
  convs = conv('conv0', 128, 768, 1, 1) | conv('conv1', 768, 128, 5, 5)
  return convs | linear('AuxLogits.fc', outputs, 768)


@pytest.mark.parametrize(('outputs', 'kept'), [(7, True), (1000, False)])
def test_an_auxiliary_head_of_other_classes_is_left_out(
  whole, expected, outputs, kept, caplog
):
  with caplog.at_level('INFO', 'inception_jax'):
    weights = load(whole | aux_head(outputs))
  assert weights.network.aux_head == kept
  assert ('aux' in weights.variables['params']) == kept
  assert ('the auxiliary head: it is of 1000 classes' in caplog.text) != kept
  check_body(weights, expected)


@pytest.mark.parametrize('source', [sources.TORCHVISION, TIMM[0]])
def test_the_inception_of_fid_is_recognized_by_its_outputs(
  body, expected, source, caplog
):
  with caplog.at_level('INFO', 'inception_jax'):
    weights = load(body | linear('fc', 1008), [source])
  assert 'has 1008 outputs: read as fid_inception_v3' in caplog.text
  assert weights.network == architectures.published('fid_inception_v3', 1008)
  assert weights.card.crop_mode == 'squash'
  check_body(weights, expected)
  other = load(body | linear('fc', 1007), [source])
  assert (other.network.name, other.network.num_classes) == (V3, 1007)


def first_kernel(channels):
  return {
    'Conv2d_1a_3x3.conv.weight': np.ones((32, channels, 3, 3), np.float32)
  }


def test_weights_of_grey_images(whole):
  weights = load(whole | first_kernel(1))
  kernel = weights.variables['params']['conv_1a']['conv']['kernel']
  assert kernel.shape == (3, 3, 1, 32)
  assert weights.card.mean == weights.card.std == (127.5,)


@pytest.mark.parametrize('channels', [0, 2, 4])
def test_weights_of_other_images_are_refused(whole, channels):
  with pytest.raises(UserError) as error:
    load(whole | first_kernel(channels))
  (fault,) = error.value.faults
  assert f'reads images of {channels} channels, here they have 1 or 3' in fault


# The modules of pytorch-fid's `InceptionV3.blocks`; '-' has no tensors.
BLOCKS = (
  'Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 -',
  'Conv2d_3b_1x1 Conv2d_4a_3x3 -',
  'Mixed_5b Mixed_5c Mixed_5d Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e',
  'Mixed_7a Mixed_7b Mixed_7c -',
)


def test_the_blocks_of_pytorch_fid_have_numbers(body, expected):
  places = {
    module: f'blocks.{i}.{j}'
    for i, block in enumerate(BLOCKS)
    for j, module in enumerate(block.split())
  }
  tensors = {}
  for name, array in body.items():
    module, _, rest = name.partition('.')
    tensors[f'{places[module]}.{rest}'] = array
  weights = load(tensors, sources.NUMBERED_SOURCES)
  assert weights.network == architectures.published('fid_inception_v3', 0)
  check_body(weights, expected)


ORDER = (
  'Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 - Conv2d_3b_1x1 Conv2d_4a_3x3 - '
  'Mixed_5b Mixed_5c Mixed_5d Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e '
  'AuxLogits Mixed_7a Mixed_7b Mixed_7c'
).split()


@pytest.mark.parametrize('with_aux', [False, True])
def test_the_children_of_a_network_have_numbers(body, expected, with_aux):
  order = [x for x in ORDER if with_aux or x != 'AuxLogits']
  tensors = linear('classifier.linear', 5)
  for name, array in body.items():
    module, _, rest = name.partition('.')
    tensors[f'backbone.{order.index(module)}.{rest}'] = array
  assert matching.match_source(tensors, TIMM) is None
  weights = load(tensors, sources.NUMBERED_SOURCES)
  assert weights.origin == 'timm inception_v3'
  assert weights.network.num_classes == 5
  check_body(weights, expected)


def test_names_of_any_depth_take_little_memory(whole):
  names = [f'{i}.' + '.' * 2**20 for i in range(4)]
  tracemalloc.start()
  try:
    match = matching.match_source([*names, *whole], TIMM)
    _, most = tracemalloc.get_traced_memory()
  finally:
    tracemalloc.stop()
  assert match == (TIMM[0], '') and most < 2**22
