"""An exported network as a function of images."""

from collections.abc import Callable
import dataclasses
import pathlib

import numpy as np

from inception_jax import errors
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
  """Reads an exported network from a file or folder.

  `load` reads its format: path → (classify, metadata as JSON).

  Raises:
    UserError: it is damaged, or was not exported by this project.
  """
  try:
    classify, metadata_json = load(path)
  except Exception as error:  # each library raises its own
    raise errors.UserError(
      f'{path} cannot be read: {errors.one_line(error)}'
    ) from error
  network, card, classes = metadata.from_json(metadata_json, path)
  return Artifact(path, network, card, classes, classify)


def size_of(path: str) -> int:
  """Returns the bytes of a file, or of all files in a folder."""
  whole = pathlib.Path(path)
  files = whole.rglob('*') if whole.is_dir() else [whole]
  return sum(file.stat().st_size for file in files if file.is_file())
