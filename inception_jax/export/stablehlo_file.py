"""StableHLO: a zip of jax.export's module, its parameters in it, and a card."""

import zipfile

import numpy as np

from inception_jax.export import metadata

_MODULE, _CARD = 'module.bin', 'card.json'


def save(path: str, apply, variables, card, says: str) -> None:
  """Writes `apply(variables, images)` for every platform and any batch."""
  import jax
  from jax import export
  import jax.numpy as jnp

  (batch,) = export.symbolic_shape('B')
  size, channels = card.input_size, len(card.mean)
  images = jax.ShapeDtypeStruct((batch, size, size, channels), jnp.float32)
  function = jax.jit(lambda images: apply(variables, images))
  exported = export.export(function, platforms=metadata.PLATFORMS)(images)
  with zipfile.ZipFile(path, 'w') as file:  # weights do not compress
    file.writestr(_MODULE, bytes(exported.serialize()))
    file.writestr(_CARD, says)


def load(path: str):
  """(NHWC images → logits, what it says of itself)."""
  from jax import export

  with zipfile.ZipFile(path) as file:
    module, says = file.read(_MODULE), file.read(_CARD).decode()
  exported = export.deserialize(bytearray(module))

  def classify(images: np.ndarray) -> np.ndarray:
    return np.asarray(exported.call(images))

  return classify, says
