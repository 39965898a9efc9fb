"""SavedModel with two signatures, in the layout of TF Serving and Triton.

'serving_default' takes float32 `images` [B, S, S, C], normalized. 'encoded'
takes `encoded` [B], strings that are each a JPEG, PNG, GIF, BMP or WebP (not a
TIFF, JPEG 2000 or AVIF), and preprocesses them. Both give `logits`,
`probabilities`, and other outputs that were asked for, stages as [B, H, W, C].
"""

from collections.abc import Iterable
from collections.abc import Iterator
import pathlib

import numpy as np

from inception_jax.export import metadata
from inception_jax.export import operations
from inception_jax.export import stablehlo_file
from inception_jax.models import card as card_lib

# What runs nothing; users of TensorFlow Serving add files of their own.
_EXTRA = 'assets.extra'
_METADATA = f'{_EXTRA}/{metadata.KEY}.json'
IMAGES, ENCODED = 'serving_default', 'encoded'


def save(path: str, apply, variables, card, seal: metadata.Seal) -> None:
  """Writes both signatures, and the metadata beside them."""
  import tensorflow as tf

  from inception_jax.data import decode

  size, _, channels = card.image_shape
  call = _operation(apply, variables, card)
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
    values = call(module.variables_, images)
    return {**values, 'probabilities': tf.nn.softmax(values['logits'])}

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
  file.write_text(seal(_content(path)))


def _operation(apply, variables, card):
  """Returns `apply` as an operation of TensorFlow."""
  import jax
  from jax import export
  from jax.extend.mlir.dialects import stablehlo
  import tensorflow as tf
  from tensorflow.compiler.tf2xla.python import xla

  exported = stablehlo_file.exported(apply, card, variables)
  # TensorFlow 2.21 reads StableHLO up to 1.17, and JAX 0.12 writes 1.18 unless
  # asked for an older one. The oldest has all that the networks need.
  module = stablehlo.serialize_portable_artifact_str(
    exported.mlir_module(), stablehlo.get_minimum_version()
  )
  shapes = [
    [None if export.is_symbolic_dim(n) else n for n in x.shape]
    for x in exported.out_avals
  ]

  def call(variables, images):
    arguments = tf.nest.flatten((variables, images))
    values = xla.call_module(
      [arguments[i] for i in exported.module_kept_var_idx],
      version=exported.calling_convention_version,
      module=module,
      Sout=shapes,
      Tout=[x.dtype for x in exported.out_avals],
      platforms=[x.upper() for x in exported.platforms],
    )
    return jax.tree.unflatten(exported.out_tree, values)

  return call


def read(path: str) -> tuple[str | None, Iterable[bytes]]:
  """Returns the metadata as JSON, None if missing, and what runs."""
  file = pathlib.Path(path, _METADATA)
  return file.read_text() if file.is_file() else None, _content(path)


def _content(path: str) -> Iterator[bytes]:
  """Yields the name, size and bytes of every file but the metadata."""
  root = pathlib.Path(path)
  files = {x.relative_to(root).as_posix(): x for x in root.rglob('*')}
  for name, file in sorted(files.items()):
    if name.split('/')[0] == _EXTRA or file.is_dir():
      continue
    if not file.is_file():
      raise ValueError(f'{name} is not a file')
    yield f'{name}\0{file.stat().st_size}\0'.encode()
    with file.open('rb') as opened:
      while chunk := opened.read(2**20):
        yield chunk


def load(path: str, trust: bool):
  """Returns `Artifact.run`."""
  import tensorflow as tf

  if not trust:
    operations.check_saved_model(path)
  loaded = tf.saved_model.load(path)
  signature = loaded.signatures[IMAGES]

  def run(images: np.ndarray) -> dict[str, np.ndarray]:
    values = signature(images=tf.constant(images))
    return {name: x.numpy() for name, x in values.items()}

  # The signature holds the model's variables by weak references only.
  run.loaded = loaded
  return run
