"""Loads weight files of other frameworks."""

from inception_jax.errors import UserError
from inception_jax.weights import convert
from inception_jax.weights import hub
from inception_jax.weights import matching
from inception_jax.weights import readers
from inception_jax.weights.convert import Weights
from inception_jax.weights.sources import NUMBERED_SOURCES
from inception_jax.weights.sources import SOURCES


def load(path: str) -> Weights:
  """Loads trained weights of another framework.

  `path` is a file, a folder in the hub's layout, or hf-hub:OWNER/NAME; of the
  last two, config.json gives the preprocessing and the names of the classes.

  Supports timm (safetensors, .pth), torchvision (.pth), Keras (.h5, .keras),
  TF-slim (checkpoints), weiaicunzai/pytorch-cifar100 (.pth, safetensors),
  MindSpore and MindCV (.ckpt), and the Inception of the Fréchet inception
  distance (.pth, .pb). The tensor names determine the network, which
  may be part of a larger model. Its classifier may be missing, then the result
  has 0 classes; see `heads`.

  Raises:
    UserError: the file cannot be read, or does not hold one of the networks in
      `SOURCES`.
  """
  in_hub = hub.download(path) if hub.is_reference(path) else hub.find(path)
  if in_hub:
    return hub.described(_load(in_hub), in_hub)
  return _load(path)


def _load(path: str) -> Weights:
  tensors, file_format = readers.read(path)
  frameworks = file_format.frameworks
  of_format = lambda sources: sorted(
    (s for s in sources if s.framework in frameworks),
    key=lambda s: frameworks.index(s.framework),
  )
  sources = of_format(SOURCES)
  match = matching.match_source(tensors, sources) or matching.match_source(
    tensors, of_format(NUMBERED_SOURCES)
  )
  if match is None:
    known = ', '.join(f'{s.framework} {s.network_name}' for s in sources)
    names = ', '.join(sorted(tensors)[:3]) or 'none'
    raise UserError(
      f'{path} does not hold a known network: {file_format.name} is read for '
      f'{known}; the first tensors of this file: {names}'
    )
  return convert.to_weights(tensors, *match, path)
