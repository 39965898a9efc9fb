"""LiteRT (TensorFlow Lite), float32 or int8, with metadata in an appended zip.

The batch is 1: with any other, the converter fuses neither biases nor ReLUs
into convolutions, and cannot quantize average pools.
"""

from collections.abc import Iterable
import os
import tempfile
import warnings
import zipfile

import numpy as np

from inception_jax import extras
from inception_jax.export import metadata
from inception_jax.export import operations
from inception_jax.weights import limits

_METADATA = f'{metadata.KEY}.json'
_SIGNATURE = 'serving_default'


def save(
  path: str,
  apply,
  variables,
  card,
  seal: metadata.Seal,
  calibration: np.ndarray | None = None,
  half: bool = False,
) -> None:
  """Writes `apply`, (variables, float32 [1, S, S, C]) → {'logits'}.

  The activations of `calibration`, normalized float32 [n, S, S, C], give the
  ranges of int8; None: float32. With `half`, the weights are float16. Input and
  output are always float32.
  """
  from jax.experimental import jax2tf
  import tensorflow as tf

  converted = jax2tf.convert(apply, with_gradient=False)
  module = tf.Module()
  # As variables: the converter copies constants in each of its passes.
  module.variables_ = tf.nest.map_structure(tf.Variable, variables)

  @tf.function(
    input_signature=[
      tf.TensorSpec((1, *card.image_shape), tf.float32, 'images')
    ],
    autograph=False,
  )
  def of_images(images):
    return converted(module.variables_, images)

  module.of_images = of_images
  with tempfile.TemporaryDirectory() as folder:
    saved = os.path.join(folder, 'saved')
    tf.saved_model.save(module, saved, signatures={_SIGNATURE: of_images})
    converter = tf.lite.TFLiteConverter.from_saved_model(
      saved, signature_keys=[_SIGNATURE]
    )
    if calibration is not None:
      converter.optimizations = [tf.lite.Optimize.DEFAULT]
      converter.representative_dataset = lambda: (
        {'images': image[None]} for image in calibration
      )
      # An operation without an int8 version is an error, not left in float32.
      kinds = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
      converter.target_spec.supported_ops = kinds
    if half:
      converter.optimizations = [tf.lite.Optimize.DEFAULT]
      converter.target_spec.supported_types = [tf.float16]
    with warnings.catch_warnings():
      # The converter itself calibrates with the deprecated interpreter.
      warnings.filterwarnings('ignore', r'\s*Warning: tf.lite.Interpreter')
      model = converter.convert()
  with open(path, 'wb') as file:
    file.write(model)
  with zipfile.ZipFile(path, 'a') as file:
    file.writestr(_METADATA, seal([model]))


def read(path: str) -> tuple[str, Iterable[bytes]]:
  """Returns the metadata as JSON and the parts of what runs."""
  return limits.read_stored(path, _METADATA).decode(), [_model(path)]


def _model(path: str) -> bytes:
  """Returns what precedes the zip."""
  with zipfile.ZipFile(path) as archive, open(path, 'rb') as file:
    return file.read(min(x.header_offset for x in archive.infolist()))


def load(path: str, trust: bool):
  """Returns `Artifact.run`."""
  with extras.imports():
    from ai_edge_litert import interpreter

  model = _model(path)
  if not trust:
    operations.check_litert(model)
  loaded = interpreter.Interpreter(
    model_content=model, num_threads=os.cpu_count()
  )
  run = loaded.get_signature_runner(_SIGNATURE)

  def run_batch(images: np.ndarray) -> dict[str, np.ndarray]:
    logits = [run(images=image[None])['logits'] for image in images]
    return {'logits': np.concatenate(logits)}

  return run_batch
