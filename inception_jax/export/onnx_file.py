"""ONNX: one file, any batch, NCHW as everybody's, standard operators alone."""

import os
import tempfile

import numpy as np

from inception_jax.export import metadata

INPUT, OUTPUT = 'images', 'logits'

_OPSET = 18


def save(path: str, apply, variables, card, says: str) -> None:
  """Writes `apply(variables, NHWC images)` as a function of NCHW images."""
  import jax2onnx
  import onnx
  import onnxruntime

  size, channels = card.input_size, len(card.mean)
  traced = jax2onnx.to_onnx(
    lambda images: apply(variables, images),
    [('B', size, size, channels)],
    inputs_as_nchw=[0],
    input_names=[INPUT],
    output_names=[OUTPUT],
    opset=_OPSET,
  )
  # Its convolutions are wrapped in Transposes: the runtime's own optimiser,
  # at the level that stays within the standard, takes them out.
  with tempfile.TemporaryDirectory() as folder:
    raw, cleaned = (os.path.join(folder, name) for name in ('raw', 'cleaned'))
    onnx.save(traced, raw)
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_BASIC
    options.optimized_model_filepath = cleaned
    onnxruntime.InferenceSession(raw, options)
    model = onnx.load(cleaned)
  standard = [entry for entry in model.opset_import if not entry.domain]
  del model.opset_import[:]
  model.opset_import.extend(standard)
  onnx.helper.set_model_props(model, {metadata.KEY: says})
  onnx.checker.check_model(model, full_check=True)
  onnx.save(model, path)


def load(path: str):
  """(NHWC images → logits, what it says of itself)."""
  import onnxruntime

  options = onnxruntime.SessionOptions()
  options.log_severity_level = 3  # errors are raised; warnings help nobody
  session = onnxruntime.InferenceSession(path, options)
  says = session.get_modelmeta().custom_metadata_map.get(metadata.KEY)

  def classify(images: np.ndarray) -> np.ndarray:
    return session.run([OUTPUT], {INPUT: images.transpose(0, 3, 1, 2)})[0]

  return classify, says
