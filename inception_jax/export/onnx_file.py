"""ONNX: one file, NCHW, any batch, standard operators only.

Outputs that are stages are NCHW, too. With the normalization inside, the input
is not `images`, float32 [B, C, S, S], but `pixels`, uint8 [B, S, S, C].

The metadata are the last bytes of the file, which a digest can leave out.
"""

from collections.abc import Iterable
import os
import pathlib
import tempfile

import numpy as np

from inception_jax import extras
from inception_jax.export import metadata
from inception_jax.export import operations

INPUT, PIXELS = 'images', 'pixels'
_OPSET = 18


def save(
  path: str,
  apply,
  variables,
  card,
  seal: metadata.Seal,
  preprocess: bool = False,
  half: bool = False,
) -> None:
  """Writes `apply(variables, NHWC images)` as a function of NCHW images.

  With `preprocess`, as one of NHWC uint8 images, which it normalizes. With
  `half`, weights and activations are float16; images and outputs stay float32.
  """
  with extras.imports():
    import onnx

  model = _trace(apply, variables, card)
  if half:
    model = _to_float16(model)
  if preprocess:
    _normalize_inside(model, card)
  onnx.checker.check_model(model, full_check=True)
  content = model.SerializeToString()
  # Concatenated messages are one message.
  content += _only_metadata(seal([content]))
  pathlib.Path(path).write_bytes(content)


def _trace(apply, variables, card):
  """Returns `apply` of NCHW images as an optimized `onnx.ModelProto`."""
  import jax
  import jax.numpy as jnp

  with extras.imports():
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
  return model


def _to_float16(model):
  """Returns a model that computes in float16."""
  with extras.imports():
    from onnxruntime.transformers import float16
    from onnxruntime.transformers import onnx_model

  half = float16.convert_float_to_float16(model, keep_io_types=True)
  sorted_model = onnx_model.OnnxModel(half)
  sorted_model.topological_sort()  # the converter appends its casts
  return sorted_model.model


def _normalize_inside(model, card) -> None:
  """Replaces the input `images` by `pixels`, in place."""
  with extras.imports():
    from onnx import TensorProto
    from onnx import helper
    from onnx import numpy_helper

  graph, (size, _, channels) = model.graph, card.image_shape
  shape = ['B', size, size, channels]
  del graph.input[:]
  graph.input.append(
    helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, shape)
  )
  for name in ('mean', 'std'):
    values = np.array(getattr(card, name), np.float32)
    graph.initializer.append(numpy_helper.from_array(values, f'pixels.{name}'))
  nodes = (
    helper.make_node('Cast', [PIXELS], ['pixels.cast'], to=TensorProto.FLOAT),
    helper.make_node('Sub', ['pixels.cast', 'pixels.mean'], ['pixels.sub']),
    helper.make_node('Div', ['pixels.sub', 'pixels.std'], ['pixels.div']),
    helper.make_node('Transpose', ['pixels.div'], [INPUT], perm=[0, 3, 1, 2]),
  )
  for i, node in enumerate(nodes):
    graph.node.insert(i, node)


def _only_metadata(metadata_json: str) -> bytes:
  with extras.imports():
    import onnx

  entry = onnx.StringStringEntryProto(key=metadata.KEY, value=metadata_json)
  return onnx.ModelProto(metadata_props=[entry]).SerializeToString()


def read(path: str) -> tuple[str | None, Iterable[bytes]]:
  """Returns the metadata as JSON, None if missing, and what runs."""
  with extras.imports():
    import onnx

  content = pathlib.Path(path).read_bytes()
  properties = onnx.ModelProto.FromString(content).metadata_props
  metadata_json = {x.key: x.value for x in properties}.get(metadata.KEY)
  return metadata_json, [content.removesuffix(_only_metadata(metadata_json))]


def load(path: str, trust: bool):
  """Returns `Artifact.run`."""
  with extras.imports():
    import onnxruntime

  if not trust:
    operations.check_onnx(pathlib.Path(path).read_bytes())
  options = onnxruntime.SessionOptions()
  options.log_severity_level = 3  # errors only; they are raised as well
  session = onnxruntime.InferenceSession(path, options)

  names = [output.name for output in session.get_outputs()]
  if 'logits' not in names:
    raise ValueError('it has no output called logits')
  (given,) = (value.name for value in session.get_inputs())
  if given == PIXELS:
    about = session.get_modelmeta().custom_metadata_map[metadata.KEY]
    _, card, _ = metadata.from_json(about, path)

  def run(images: np.ndarray) -> dict[str, np.ndarray]:
    if given == PIXELS:
      # Exact: images were uint8 before they were normalized.
      levels = images * np.float32(card.std) + np.float32(card.mean)
      fed = np.rint(levels).clip(0, 255).astype(np.uint8)
    else:
      fed = images.transpose(0, 3, 1, 2)
    values = session.run(names, {given: fed})
    return {
      name: x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
      for name, x in zip(names, values, strict=True)
    }

  return run
