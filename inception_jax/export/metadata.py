"""Metadata of exported networks, as JSON in their files."""

import json

import jax

from inception_jax import trees
from inception_jax.checkpointing import digests
from inception_jax.errors import UserError
from inception_jax.models import metadata
from inception_jax.models.card import Card
from inception_jax.models.network_config import NetworkConfig
from inception_jax.weights.convert import Weights

KEY = 'inception_jax'
_VERSION = 1


def to_json(weights: Weights, variables, step: int) -> str:
  """Returns the metadata of a network, and the digest of its `variables`."""
  arrays = trees.named_leaves(variables)
  entries = {name: digests.describe(x) for name, x in arrays.items()}
  values = {
    **metadata.to_dict(weights.network, weights.card, weights.classes),
    'version': _VERSION,
    'step': step,
    'parameters': digests.with_digest(entries)['sha256'],
    'jax': jax.__version__,
  }
  return json.dumps(values)


def from_json(
  text: str | None, path: str
) -> tuple[NetworkConfig, Card, tuple[str, ...]]:
  """Parses what `to_json` wrote; `path` is for messages.

  Raises:
    UserError: it is not such metadata, or of another version.
  """
  try:
    values = json.loads(text or '')
    version = values.get('version')
  except (ValueError, AttributeError):
    raise UserError(
      f'{path} was not exported by tools.export: it has no metadata'
    ) from None
  if version != _VERSION:
    raise UserError(
      f'{path} has metadata of version {version}; this program reads version '
      f'{_VERSION}'
    )
  return metadata.from_dict(values, path)
