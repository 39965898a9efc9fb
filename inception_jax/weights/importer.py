"""Loads weight files of other frameworks."""

from inception_jax.errors import UserError
from inception_jax.weights import convert
from inception_jax.weights import matching
from inception_jax.weights import readers
from inception_jax.weights.convert import Weights
from inception_jax.weights.sources import SOURCES


def load(path: str) -> Weights:
  """Loads trained weights from a file of another framework.

  Supports timm (safetensors, .pth), torchvision (.pth), Keras (.h5, .keras),
  TF-slim (checkpoints), weiaicunzai/pytorch-cifar100 (.pth, safetensors),
  MindSpore and MindCV (.ckpt). The tensor names determine the network.

  Raises:
    UserError: the file cannot be read, or does not hold exactly one of the
      networks in `SOURCES`.
  """
  tensors, file_format = readers.read(path)
  sources = sorted(
    (s for s in SOURCES if s.framework in file_format.frameworks),
    key=lambda s: file_format.frameworks.index(s.framework),
  )
  match = matching.match_source(tensors, sources)
  if match is None:
    known = ', '.join(f'{s.framework} {s.network_name}' for s in sources)
    names = ', '.join(sorted(tensors)[:3]) or 'none'
    raise UserError(
      f'{path} does not hold a known network: {file_format.name} is read for '
      f'{known}; the first tensors of this file: {names}'
    )
  return convert.to_weights(tensors, *match, path)
