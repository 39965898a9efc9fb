"""An exported network as a function of images."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import pathlib
from types import ModuleType

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
    run: float32 [B, S, S, C] → float32 outputs by name: 'logits' [B, N] and, as
      they were asked for, 'probabilities' [B, N], 'pooled' [B, C] and stages
      [B, H, W, C].
  """

  origin: str
  network: NetworkConfig
  card: Card
  classes: tuple[str, ...]
  run: Callable[[np.ndarray], dict[str, np.ndarray]]

  def classify(self, images: np.ndarray) -> np.ndarray:
    """Returns the logits of normalized images."""
    return self.run(images)['logits']


def read(path: str, file: ModuleType, trust: bool = False) -> Artifact:
  """Reads an exported network from a file or folder.

  `file` reads its format: `file.read(path)` returns the metadata as JSON and
  the parts of what their digest covers; `file.load(path, trust)` returns
  `Artifact.run`. Only a trusted artifact may lack the digest, or have
  operations that exported networks do not have (`operations`).

  Raises:
    UserError: it is damaged, not trusted, or was not exported by this project.
  """
  with _one_error(path):
    metadata_json, content = file.read(path)
  network, card, classes = metadata.from_json(metadata_json, path)
  with _one_error(path):
    if not trust:
      metadata.check_seal(metadata_json, content, path)
    run = file.load(path, trust)
  return Artifact(path, network, card, classes, run)


@contextlib.contextmanager
def _one_error(path: str) -> Iterator[None]:
  try:
    yield
  except errors.UserError:
    raise
  except Exception as error:  # each library raises its own
    raise errors.UserError(
      f'{path} cannot be read: {errors.one_line(error)}'
    ) from error


def size_of(path: str) -> int:
  """Returns the bytes of a file, or of all files in a folder."""
  whole = pathlib.Path(path)
  files = whole.rglob('*') if whole.is_dir() else [whole]
  return sum(file.stat().st_size for file in files if file.is_file())
