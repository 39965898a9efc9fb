"""ONNX: one file, NCHW, any batch, standard operators only."""

import os
import tempfile

import numpy as np

from inception_jax.export import metadata

INPUT, OUTPUT = 'images', 'logits'
_OPSET = 18


def save(path: str, apply, variables, card, metadata_json: str) -> None:
  """Writes `apply(variables, NHWC images)` as a function of NCHW images."""
  import jax2onnx
  import onnx
  import onnxruntime

  traced = jax2onnx.to_onnx(
    lambda images: apply(variables, images),
    [('B', *card.image_shape)],
    inputs_as_nchw=[0],
    input_names=[INPUT],
    output_names=[OUTPUT],
    opset=_OPSET,
  )
  # jax2onnx wraps each convolution in Transposes. onnxruntime's optimizer
  # removes them, at the level that keeps to standard operators.
  with tempfile.TemporaryDirectory() as folder:
    raw, optimized = (os.path.join(folder, name) for name in ('raw', 'opt'))
    onnx.save(traced, raw)
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_BASIC
    options.optimized_model_filepath = optimized
    onnxruntime.InferenceSession(raw, options)
    model = onnx.load(optimized)
  standard = [entry for entry in model.opset_import if not entry.domain]
  del model.opset_import[:]
  model.opset_import.extend(standard)
  onnx.helper.set_model_props(model, {metadata.KEY: metadata_json})
  onnx.checker.check_model(model, full_check=True)
  onnx.save(model, path)


def load(path: str):
  """Returns (classify, metadata as JSON), see `Artifact`."""
  import onnxruntime

  options = onnxruntime.SessionOptions()
  options.log_severity_level = 3  # errors only; they are raised as well
  session = onnxruntime.InferenceSession(path, options)
  properties = session.get_modelmeta().custom_metadata_map

  def classify(images: np.ndarray) -> np.ndarray:
    return session.run([OUTPUT], {INPUT: images.transpose(0, 3, 1, 2)})[0]

  return classify, properties.get(metadata.KEY)
