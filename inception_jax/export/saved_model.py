"""SavedModel with two signatures, in the layout of TF Serving and Triton.

'serving_default' takes float32 `images` [B, S, S, C], normalized. 'encoded'
takes `encoded` [B], strings that are each a JPEG, PNG, GIF, BMP or WebP, and
preprocesses them. Both give `logits` and `probabilities`.
"""

import pathlib

import numpy as np

from inception_jax.export import metadata
from inception_jax.export import stablehlo_file
from inception_jax.models import card as card_lib

_METADATA = f'assets.extra/{metadata.KEY}.json'
IMAGES, ENCODED = 'serving_default', 'encoded'


def save(path: str, apply, variables, card, metadata_json: str) -> None:
  """Writes both signatures, and the metadata beside them."""
  from jax.experimental import jax2tf
  import tensorflow as tf

  from inception_jax.data import decode

  size, _, channels = card.image_shape
  converted = jax2tf.convert(
    apply,
    polymorphic_shapes=[None, f'(B, {size}, {size}, {channels})'],
    # The default is this machine's platform.
    native_serialization_platforms=stablehlo_file.PLATFORMS,
    with_gradient=False,
  )
  data = card_lib.to_config(card)
  module = tf.Module()
  # Both signatures share the variables.
  module.variables_ = tf.nest.map_structure(tf.Variable, variables)

  @tf.function(
    input_signature=[
      tf.TensorSpec((None, size, size, channels), tf.float32, 'images')
    ],
    autograph=False,
  )
  def of_images(images):
    logits = converted(module.variables_, images)
    return {'logits': logits, 'probabilities': tf.nn.softmax(logits)}

  @tf.function(
    input_signature=[tf.TensorSpec((None,), tf.string, 'encoded')],
    autograph=False,
  )
  def of_encoded(encoded):
    pixels = tf.map_fn(
      lambda x: decode.eval_image(x, data, python=False),
      encoded,
      fn_output_signature=tf.TensorSpec((size, size, channels), tf.uint8),
    )
    images = tf.cast(pixels, tf.float32)
    return of_images((images - tf.constant(card.mean)) / tf.constant(card.std))

  module.of_images, module.of_encoded = of_images, of_encoded
  tf.saved_model.save(
    module, path, signatures={IMAGES: of_images, ENCODED: of_encoded}
  )
  file = pathlib.Path(path, _METADATA)
  file.parent.mkdir(exist_ok=True)
  file.write_text(metadata_json)


def load(path: str):
  """Returns (classify, metadata as JSON), see `Artifact`."""
  import tensorflow as tf

  loaded = tf.saved_model.load(path)
  file = pathlib.Path(path, _METADATA)
  metadata_json = file.read_text() if file.exists() else None
  signature = loaded.signatures[IMAGES]

  def classify(images: np.ndarray) -> np.ndarray:
    return signature(images=tf.constant(images))['logits'].numpy()

  # The signature holds the model's variables by weak references only.
  classify.loaded = loaded
  return classify, metadata_json
