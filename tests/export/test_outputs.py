"""Outputs beside the logits, in every format that has them."""

import json

import numpy as np
import pytest
from scipy import special

from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.export import comparison
from inception_jax.export import formats
from inception_jax.export import outputs
from inception_jax.export.format import Options
from inception_jax.models import architectures

NAMES = ('logits', 'probabilities', 'pooled', 'mixed_2a')
OPTIONS = {
  'onnx': Options(outputs=NAMES, preprocess=True),
  'stablehlo': Options(outputs=NAMES),
  'savedmodel': Options(outputs=NAMES),
}


@pytest.fixture(scope='module', params=OPTIONS)
def exported(request, weights, tmp_path_factory):
  """A format, the path of a file with more outputs, and the differences."""
  file_format = formats.FORMATS[request.param]
  folder = tmp_path_factory.mktemp(request.param)
  path = str(folder / f'network{file_format.ending}')
  options = OPTIONS[request.param]
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
  about = json.loads(metadata_json)
  assert about['outputs'] == list(NAMES)
  assert about['preprocess'] == (name == 'onnx')


def test_onnx_takes_pixels_and_gives_its_outputs_in_order(weights, exported):
  import onnx
  import onnxruntime

  name, path, _ = exported
  if name != 'onnx':
    return
  model = onnx.load(path)
  onnx.checker.check_model(model, full_check=True)
  shapes = [
    (value.name, [d.dim_param or d.dim_value for d in kind.shape.dim])
    for value in (*model.graph.input, *model.graph.output)
    if (kind := value.type.tensor_type)
  ]
  assert shapes == [
    ('pixels', ['B', 16, 16, 3]),
    ('logits', ['B', 6]),
    ('probabilities', ['B', 6]),
    ('pooled', ['B', 56]),
    ('mixed_2a', ['B', 32, 7, 7]),
  ]
  pixels = comparison.sample_images(16, 3)
  session = onnxruntime.InferenceSession(path)
  (found,) = session.run(['probabilities'], {'pixels': pixels})
  network = architectures.create(weights.network)
  images = (pixels - np.float32(127.5)) / np.float32(127.5)
  logits, _ = network.apply(weights.variables, images)
  np.testing.assert_allclose(found, special.softmax(logits, 1), atol=1e-6)


def test_names_are_those_of_end_points(weights):
  model = architectures.create(weights.network)
  assert outputs.names(model, []) == ('logits',)
  assert outputs.names(model, ['pooled'], softmax=True) == (
    'logits',
    'probabilities',
    'pooled',
  )
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
