"""Outputs beside the logits, in every format that has them."""

import json

import numpy as np
import pytest

from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.export import comparison
from inception_jax.export import formats
from inception_jax.export import outputs
from inception_jax.export.format import Options
from inception_jax.models import architectures

NAMES = ('logits', 'pooled', 'mixed_2a')


@pytest.fixture(scope='module', params=['onnx', 'stablehlo', 'savedmodel'])
def exported(request, weights, tmp_path_factory):
  """A format, the path of a file with more outputs, and the differences."""
  file_format = formats.FORMATS[request.param]
  folder = tmp_path_factory.mktemp(request.param)
  path = str(folder / f'network{file_format.ending}')
  options = Options(outputs=NAMES)
  run = file_format.save(weights, path, 5, options)
  return request.param, path, file_format.compare(weights, run, options)


def test_every_output_is_the_networks(weights, exported):
  name, path, differences = exported
  assert differences['outputs'].keys() == set(NAMES)
  assert max(differences['outputs'].values()) < 1e-5
  formats.check_bound(name, differences)
  for changed in NAMES:
    wrong = differences['outputs'] | {changed: 2e-3}
    with pytest.raises(RunError, match=changed):
      formats.check_bound(name, differences | {'outputs': wrong})

  artifact = formats.load(path)
  images = comparison.normalize(weights.card)
  values = artifact.run(images)
  assert values['logits'].shape == (8, 6)
  assert values['pooled'].shape == (8, 56)
  assert values['mixed_2a'].shape == (8, 7, 7, 32)
  np.testing.assert_array_equal(artifact.classify(images), values['logits'])
  metadata_json, _ = formats.FORMATS[name].file.read(path)
  assert json.loads(metadata_json)['outputs'] == list(NAMES)


def test_onnx_has_them_in_order_and_channels_first(exported):
  import onnx

  name, path, _ = exported
  if name != 'onnx':
    return
  model = onnx.load(path)
  onnx.checker.check_model(model, full_check=True)
  shapes = {
    output.name: [
      dim.dim_param or dim.dim_value
      for dim in output.type.tensor_type.shape.dim
    ]
    for output in model.graph.output
  }
  assert list(shapes.items()) == [
    ('logits', ['B', 6]),
    ('pooled', ['B', 56]),
    ('mixed_2a', ['B', 32, 7, 7]),
  ]


def test_names_are_those_of_end_points(weights):
  model = architectures.create(weights.network)
  assert outputs.names(model, []) == ('logits',)
  assert outputs.names(model, ['mixed_2a', 'logits', 'mixed_2a']) == (
    'logits',
    'mixed_2a',
  )
  with pytest.raises(UserError) as error:
    outputs.names(model, ['pooled', 'mixed_7c', 'x'])
  assert error.value.faults == (
    '--outputs=mixed_7c,x: expected some of conv_1a, conv_1b, mixed_2a, '
    'mixed_3a, pooled, logits',
  )
