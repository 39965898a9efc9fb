"""StableHLO: a zip with a module of jax.export and metadata."""

import zipfile

import numpy as np

# XLA compiles the module for the platform that loads it.
PLATFORMS = ('cpu', 'cuda', 'tpu')
_MODULE, _METADATA = 'module.bin', 'card.json'


def save(path: str, apply, variables, card, metadata_json: str) -> None:
  """Writes `apply` for `PLATFORMS` and any batch, with its variables."""
  import jax
  from jax import export
  import jax.numpy as jnp

  (batch,) = export.symbolic_shape('B')
  images = jax.ShapeDtypeStruct((batch, *card.image_shape), jnp.float32)
  function = jax.jit(lambda images: apply(variables, images))
  exported = export.export(function, platforms=PLATFORMS)(images)
  with zipfile.ZipFile(path, 'w') as file:  # weights do not compress
    file.writestr(_MODULE, bytes(exported.serialize()))
    file.writestr(_METADATA, metadata_json)


def load(path: str):
  """Returns (classify, metadata as JSON), see `Artifact`."""
  from jax import export

  with zipfile.ZipFile(path) as file:
    module, metadata_json = file.read(_MODULE), file.read(_METADATA).decode()
  exported = export.deserialize(bytearray(module))

  def classify(images: np.ndarray) -> np.ndarray:
    return np.asarray(exported.call(images))

  return classify, metadata_json
