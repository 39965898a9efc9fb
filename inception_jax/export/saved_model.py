"""SavedModel: normalised images, or encoded ones with the preprocessing in it.

Signatures: 'serving_default', float32 `images` [B, S, S, C], and 'encoded',
`encoded` [B] strings, each a JPEG, PNG, GIF, BMP or WebP. Both give `logits`
and `probabilities`. The layout is what TF Serving and Triton take.
"""

import os

import numpy as np

from inception_jax.export import metadata
from inception_jax.models import card as card_lib

_EXTRA = 'assets.extra'

IMAGES, ENCODED = 'serving_default', 'encoded'


def save(path: str, apply, variables, card, says: str) -> None:
  """Writes both signatures, and the names of the classes beside them."""
  from jax.experimental import jax2tf
  import tensorflow as tf

  from inception_jax.data import decode

  size, channels = card.input_size, len(card.mean)
  converted = jax2tf.convert(
    apply,
    polymorphic_shapes=[None, f'(B, {size}, {size}, {channels})'],
    # By itself it would be for that of this machine alone.
    native_serialization_platforms=metadata.PLATFORMS,
    with_gradient=False,
  )
  data = card_lib.data_of(card)
  module = tf.Module()
  # Once, for both signatures.
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
  extra = os.path.join(path, _EXTRA)
  os.makedirs(extra, exist_ok=True)
  with open(os.path.join(extra, f'{metadata.KEY}.json'), 'w') as file:
    file.write(says)


def load(path: str):
  """(NHWC images → logits, what it says of itself)."""
  import tensorflow as tf

  loaded = tf.saved_model.load(path)
  where = os.path.join(path, _EXTRA, f'{metadata.KEY}.json')
  says = None
  if os.path.exists(where):
    with open(where) as file:
      says = file.read()
  signature = loaded.signatures[IMAGES]

  def classify(images: np.ndarray) -> np.ndarray:
    return signature(images=tf.constant(images))['logits'].numpy()

  # What is loaded lives as long as the function.
  classify.loaded = loaded
  return classify, says
