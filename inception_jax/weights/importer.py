"""The world's weights: files of other frameworks in, and out again."""

from inception_jax.errors import UserError
from inception_jax.weights import convert
from inception_jax.weights import readers
from inception_jax.weights.convert import Weights
from inception_jax.weights.sources import SOURCES


def load(path: str) -> Weights:
  """Reads a trained network from a file of another framework.

  timm (safetensors, .pth), torchvision (.pth), Keras (.h5, .keras), TF-slim
  (checkpoints), weiaicunzai/pytorch-cifar100 (.pth), MindSpore and MindCV
  (.ckpt). The network is recognised from the names in the file.

  Raises:
    UserError: it cannot be read, or is not exactly one of these networks.
  """
  tensors, file_format = readers.read(path)
  sources = sorted(
    (s for s in SOURCES if s.framework in file_format.frameworks),
    key=lambda s: file_format.frameworks.index(s.framework),
  )
  found = convert.recognise(tensors, sources)
  if found is None:
    known = ', '.join(f'{s.framework} {s.network}' for s in sources)
    some = ', '.join(sorted(tensors)[:3]) or 'no tensors'
    raise UserError(
      f'{path} is of no network known here; as {file_format.name} it could '
      f'be of {known}, but it has {some}'
    )
  return convert.from_source(tensors, *found, path)
