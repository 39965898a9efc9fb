"""An exported network as a function of images."""

from collections.abc import Callable
import dataclasses
import os

import numpy as np

from inception_jax.errors import UserError
from inception_jax.export import metadata
from inception_jax.models.card import Card
from inception_jax.models.network_config import NetworkConfig


@dataclasses.dataclass(frozen=True)
class Artifact:
  """A network that runs without this framework.

  Attributes:
    origin: its path.
    network: its configuration.
    card: how images must be prepared: `(image − card.mean) / card.std`.
    classes: names of the first outputs, as far as they are known.
    classify: float32 [B, S, S, C] → float32 logits [B, N].
  """

  origin: str
  network: NetworkConfig
  card: Card
  classes: tuple[str, ...]
  classify: Callable[[np.ndarray], np.ndarray]


def read(path: str, load: Callable[[str], tuple]) -> Artifact:
  """Reads an exported network.

  Args:
    path: of the file or folder.
    load: reads its format: path → (classify, metadata as JSON).

  Raises:
    UserError: it is damaged, or was not exported by this project.
  """
  try:
    classify, metadata_json = load(path)
  except Exception as error:  # each library raises its own
    reason = ' '.join(str(error).split())[:200] or type(error).__name__
    raise UserError(f'{path} cannot be read: {reason}') from error
  network, card, classes = metadata.from_json(metadata_json, path)
  return Artifact(path, network, card, classes, classify)


def size_of(path: str) -> int:
  """Returns the bytes of a file, or of all files in a folder."""
  if not os.path.isdir(path):
    return os.path.getsize(path)
  return sum(
    os.path.getsize(os.path.join(folder, name))
    for folder, _, names in os.walk(path)
    for name in names
  )
