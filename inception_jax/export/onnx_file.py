"""ONNX: one file, NCHW, any batch, standard operators only.

So are stages that are outputs.

The metadata are the last bytes of the file, which a digest can leave out.
"""

from collections.abc import Iterable
import os
import pathlib
import tempfile

import numpy as np

from inception_jax.export import metadata
from inception_jax.export import operations

INPUT = 'images'
_OPSET = 18


def save(path: str, apply, variables, card, seal: metadata.Seal) -> None:
  """Writes `apply(variables, NHWC images)` as a function of NCHW images."""
  import jax
  import jax.numpy as jnp
  import jax2onnx
  import onnx
  import onnxruntime

  images = jax.ShapeDtypeStruct((1, *card.image_shape), jnp.float32)
  names = []

  def of_images(images):
    values = apply(variables, images)
    names[:] = values  # in this order, not in that of a pytree
    return tuple(values.values())

  shapes = jax.eval_shape(of_images, images)
  traced = jax2onnx.to_onnx(
    of_images,
    [('B', *card.image_shape)],
    inputs_as_nchw=[0],
    outputs_as_nchw=[i for i, x in enumerate(shapes) if x.ndim == 4],
    input_names=[INPUT],
    output_names=names,
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
  """Returns `Artifact.run`."""
  import onnxruntime

  if not trust:
    operations.check_onnx(pathlib.Path(path).read_bytes())
  options = onnxruntime.SessionOptions()
  options.log_severity_level = 3  # errors only; they are raised as well
  session = onnxruntime.InferenceSession(path, options)

  names = [output.name for output in session.get_outputs()]

  def run(images: np.ndarray) -> dict[str, np.ndarray]:
    values = session.run(names, {INPUT: images.transpose(0, 3, 1, 2)})
    return {
      name: x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
      for name, x in zip(names, values, strict=True)
    }

  return run
