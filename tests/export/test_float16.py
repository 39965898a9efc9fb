"""Networks in float16, whose images and outputs are float32."""

import json
import math

import numpy as np
import pytest

from inception_jax.errors import RunError
from inception_jax.export import artifact as artifact_lib
from inception_jax.export import comparison
from inception_jax.export import formats
from inception_jax.export.format import Options


@pytest.mark.slow
def test_weights_are_float16_and_the_interface_float32(
  weights, exported, format_name, tmp_path
):
  file_format, name = formats.FORMATS[format_name], format_name
  if format_name == 'litert_int8':
    assert 'precision' not in file_format.options  # int8 is one
    return
  path = str(tmp_path / f'network{file_format.ending}')
  names = ('logits', 'pooled') if name != 'litert' else ('logits',)
  options = Options(outputs=names, precision='float16')
  run = file_format.save(weights, path, 5, options)
  differences = file_format.compare(weights, run, options)
  # Rounded, but not more than float16 is.
  assert 5e-5 < differences['relative_diff'] < 5e-3
  formats.check_bound(name, differences, 'float16')
  ratio = artifact_lib.size_of(path) / artifact_lib.size_of(exported)
  assert ratio < 0.95  # the program of a SavedModel does not shrink
  artifact = formats.load(path)
  values = artifact.run(comparison.normalize(weights.card))
  assert {x.dtype for x in values.values()} == {np.dtype(np.float32)}
  metadata_json, _ = file_format.file.read(path)
  assert json.loads(metadata_json)['precision'] == 'float16'
  if name == 'onnx':
    import onnx

    onnx.checker.check_model(onnx.load(path), full_check=True)
    kinds = {x.data_type for x in onnx.load(path).graph.initializer}
    assert onnx.TensorProto.FLOAT not in kinds


def test_the_bound_is_that_of_the_precision():
  formats.check_bound('onnx', {'relative_diff': 0.01}, 'float16')
  for wrong in (0.011, math.nan):
    with pytest.raises(RunError, match=r'the bound is 0\.01'):
      formats.check_bound('onnx', {'relative_diff': wrong}, 'float16')
  with pytest.raises(RunError, match=r'the bound is 0\.001'):
    formats.check_bound('onnx', {'relative_diff': 0.02})
