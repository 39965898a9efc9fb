"""LiteRT (TensorFlow Lite), in float32 or int8, its card a zip at the end.

One image at a time: where the batch may vary, its converter leaves neither
biases nor ReLUs within the convolutions, and cannot quantise average pools.
"""

import os
import tempfile
import warnings
import zipfile

import numpy as np

from inception_jax.export import metadata

_CARD = f'{metadata.KEY}.json'

_SIGNATURE = 'serving_default'


def save(path: str, apply, variables, card, says: str, calibration=None):
  """Writes `apply(variables, images)`.

  Args:
    path: of the file.
    apply: the function.
    variables: its first argument.
    card: of the network.
    says: what it is to say of itself.
    calibration: float32 [n, S, S, C], normalised, whose activations give the
      ranges of int8; None is float32. Input and output are float32 in both.
  """
  from jax.experimental import jax2tf
  import tensorflow as tf

  size, channels = card.input_size, len(card.mean)
  converted = jax2tf.convert(apply, with_gradient=False)
  module = tf.Module()
  # Constants would be copied at every step of the way.
  module.variables_ = tf.nest.map_structure(tf.Variable, variables)

  @tf.function(
    input_signature=[
      tf.TensorSpec((1, size, size, channels), tf.float32, 'images')
    ],
    autograph=False,
  )
  def of_images(images):
    return {'logits': converted(module.variables_, images)}

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
      # All of it, or an error: no operation that stays in float32 unnoticed.
      kinds = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
      converter.target_spec.supported_ops = kinds
    with warnings.catch_warnings():
      # The converter calibrates by TensorFlow's own interpreter.
      warnings.filterwarnings('ignore', r'\s*Warning: tf.lite.Interpreter')
      model = converter.convert()
  with open(path, 'wb') as file:
    file.write(model)
  with zipfile.ZipFile(path, 'a') as file:
    file.writestr(_CARD, says)


def load(path: str):
  """(NHWC images → logits, what it says of itself)."""
  from ai_edge_litert import interpreter

  with zipfile.ZipFile(path) as file:
    says = file.read(_CARD).decode()
  loaded = interpreter.Interpreter(path, num_threads=os.cpu_count())
  run = loaded.get_signature_runner(_SIGNATURE)

  def classify(images: np.ndarray) -> np.ndarray:
    each = (run(images=images[i : i + 1]) for i in range(len(images)))
    return np.concatenate([given['logits'] for given in each])

  return classify, says
