"""StableHLO: a zip with a module of jax.export and metadata.

The module returns logits, with other outputs a dict of all of them.
"""

from collections.abc import Iterable
import zipfile

import numpy as np

from inception_jax.export import metadata
from inception_jax.export import operations
from inception_jax.weights import limits

# XLA compiles the module for the platform that loads it.
PLATFORMS = ('cpu', 'cuda', 'tpu')
_MODULE, _METADATA = 'module.bin', 'card.json'


def save(path: str, apply, variables, card, seal: metadata.Seal) -> None:
  """Writes `apply` for `PLATFORMS` and any batch, with its variables."""

  def function(images):
    values = apply(variables, images)
    return values if len(values) > 1 else values['logits']

  with zipfile.ZipFile(path, 'w') as file:  # weights do not compress
    module = bytes(exported(function, card).serialize())
    file.writestr(_MODULE, module)
    file.writestr(_METADATA, seal([module]))


def exported(function, card, *arguments):
  """Returns function(*arguments, images) for `PLATFORMS` and any batch."""
  import jax
  from jax import export
  import jax.numpy as jnp

  (batch,) = export.symbolic_shape('B')
  images = jax.ShapeDtypeStruct((batch, *card.image_shape), jnp.float32)
  make = export.export(jax.jit(function), platforms=PLATFORMS)
  return make(*arguments, images)


def read(path: str) -> tuple[str, Iterable[bytes]]:
  """Returns the metadata as JSON and the parts of what runs."""
  module = limits.read_stored(path, _MODULE)
  return limits.read_stored(path, _METADATA).decode(), [module]


def load(path: str, trust: bool):
  """Returns `Artifact.run`."""
  import jax
  from jax import export

  module = limits.read_stored(path, _MODULE)
  exported = export.deserialize(bytearray(module))
  if not trust:
    operations.check_stablehlo(exported.mlir_module_serialized)

  def run(images: np.ndarray) -> dict[str, np.ndarray]:
    values = exported.call(images)
    values = values if isinstance(values, dict) else {'logits': values}
    return jax.device_get(values)

  return run
