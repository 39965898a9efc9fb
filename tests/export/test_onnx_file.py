import json

import pytest

from inception_jax.errors import UserError
from inception_jax.export import formats


def test_onnx_is_one_standard_file(weights, tmp_path):
  import onnx

  path = tmp_path / 'x.onnx'
  formats.FORMATS['onnx'].save(weights, str(path), 5)
  assert [p.name for p in tmp_path.iterdir()] == ['x.onnx']
  model = onnx.load(path)
  onnx.checker.check_model(model, full_check=True)
  assert [(o.domain, o.version) for o in model.opset_import] == [('', 18)]
  (images,) = model.graph.input
  dims = images.type.tensor_type.shape.dim
  assert images.name == 'images'
  assert [d.dim_param or d.dim_value for d in dims] == ['B', 3, 16, 16]
  (output,) = model.graph.output
  dims = output.type.tensor_type.shape.dim
  assert output.name == 'logits'
  assert [d.dim_param or d.dim_value for d in dims] == ['B', 6]
  operators = [node.op_type for node in model.graph.node]
  assert 'BatchNormalization' not in operators
  assert operators.count('Transpose') <= 6
  properties = {p.key: p.value for p in model.metadata_props}
  assert json.loads(properties['inception_jax'])['step'] == 5


def test_onnx_without_metadata_is_refused(tmp_path):
  import onnx
  from onnx import helper

  value = lambda name: helper.make_tensor_value_info(name, 1, [1, 3])
  node = helper.make_node('Relu', ['images'], ['logits'])
  graph = helper.make_graph([node], 'g', [value('images')], [value('logits')])
  opsets = [helper.make_opsetid('', 18)]
  model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
  onnx.save(model, tmp_path / 'x.onnx')
  with pytest.raises(UserError, match='it has no metadata'):
    formats.load(str(tmp_path / 'x.onnx'))
