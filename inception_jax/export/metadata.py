"""What an artifact says of itself, as JSON in it."""

import json
from typing import Any

import jax

from inception_jax import trees
from inception_jax.checkpointing import digests
from inception_jax.errors import UserError
from inception_jax.models import factory
from inception_jax.models.card import Card
from inception_jax.weights.convert import Weights

KEY = 'inception_jax'

_VERSION = 1

# That XLA compiles an artifact for where it is loaded.
PLATFORMS = ('cpu', 'cuda', 'tpu')


def describe(weights: Weights, variables, step: int) -> str:
  """The card, the classes, the versions and the digest of the parameters."""
  arrays = trees.named_leaves(variables)
  entries = {name: digests.describe(x) for name, x in arrays.items()}
  values = {
    **factory.about(weights.model, weights.card, weights.classes),
    'version': _VERSION,
    'step': step,
    'parameters': digests.with_digest(entries)['sha256'],
    'jax': jax.__version__,
  }
  return json.dumps(values)


def parse(
  text: str | None, where: str
) -> tuple[dict[str, Any], Card, tuple[str, ...]]:
  """The network's arguments, its card and its classes.

  Raises:
    UserError: it says nothing of the kind.
  """
  try:
    values = json.loads(text or '')
    version = values.get('version')
  except (ValueError, AttributeError):
    raise UserError(
      f'{where} was not exported by tools.export: it has no card'
    ) from None
  if version != _VERSION:
    raise UserError(f'{where} has a card of version {version}, not {_VERSION}')
  return factory.from_about(values, where)
