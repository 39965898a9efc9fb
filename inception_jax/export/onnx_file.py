"""ONNX: one file, NCHW, any batch, standard operators only.

The metadata are the last bytes of the file, which a digest can leave out.
"""

from collections.abc import Iterable
import os
import pathlib
import tempfile

import numpy as np

from inception_jax.export import metadata
from inception_jax.export import operations

INPUT, OUTPUT = 'images', 'logits'
_OPSET = 18


def save(path: str, apply, variables, card, seal: metadata.Seal) -> None:
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
  onnx.checker.check_model(model, full_check=True)
  content = model.SerializeToString()
  # Concatenated messages are one message.
  content += _only_metadata(seal([content]))
  pathlib.Path(path).write_bytes(content)


def _only_metadata(metadata_json: str) -> bytes:
  import onnx

  entry = onnx.StringStringEntryProto(key=metadata.KEY, value=metadata_json)
  return onnx.ModelProto(metadata_props=[entry]).SerializeToString()


def read(path: str) -> tuple[str | None, Iterable[bytes]]:
  """Returns the metadata as JSON, None if missing, and what runs."""
  import onnx

  content = pathlib.Path(path).read_bytes()
  properties = onnx.ModelProto.FromString(content).metadata_props
  metadata_json = {x.key: x.value for x in properties}.get(metadata.KEY)
  return metadata_json, [content.removesuffix(_only_metadata(metadata_json))]


def load(path: str, trust: bool):
  """Returns `Artifact.classify`."""
  import onnxruntime

  if not trust:
    operations.check_onnx(pathlib.Path(path).read_bytes())
  options = onnxruntime.SessionOptions()
  options.log_severity_level = 3  # errors only; they are raised as well
  session = onnxruntime.InferenceSession(path, options)

  def classify(images: np.ndarray) -> np.ndarray:
    return session.run([OUTPUT], {INPUT: images.transpose(0, 3, 1, 2)})[0]

  return classify
