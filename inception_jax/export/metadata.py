"""Metadata of exported networks, as JSON in their files."""

from collections.abc import Callable
from collections.abc import Iterable
import hashlib
import json
from typing import Any

import jax

from inception_jax import errors
from inception_jax import inputs
from inception_jax.checkpointing import digests
from inception_jax.errors import UserError
from inception_jax.models import metadata
from inception_jax.models.card import Card
from inception_jax.models.network_config import NetworkConfig
from inception_jax.weights.convert import Weights

KEY = 'inception_jax'
_VERSION = 1
_DIGEST = 'sha256'
# Parts of what runs → the metadata as JSON, with the digest of both: `seal`.
Seal = Callable[[Iterable[bytes]], str]


def to_json(weights: Weights, variables, step: int, **options: Any) -> str:
  """Returns the metadata of a network, and the digest of its `variables`.

  `options` say how it was exported.
  """
  values = {
    **metadata.to_dict(weights.network, weights.card, weights.classes),
    'version': _VERSION,
    **options,
    'step': step,
    'parameters': digests.of_tree(variables),
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
    values = inputs.parse_json(text or '')
    version = values.get('version')
  except (ValueError, AttributeError):
    raise UserError(
      f'{path} was not exported by tools.export: it has no metadata'
    ) from None
  if version != _VERSION:
    raise UserError(
      f'{path} has metadata of version {errors.one_line(version)}; this '
      f'program reads version {_VERSION}'
    )
  return metadata.from_dict(values, path)


def seal(metadata_json: str, content: Iterable[bytes]) -> str:
  """Adds the SHA-256 of the metadata and of `content`, in parts: all that runs.

  It detects every change, but is no signature: who makes another network can
  seal it, too.
  """
  values = json.loads(metadata_json)
  return json.dumps({**values, _DIGEST: _digest(values, content)})


def check_seal(metadata_json: str, content: Iterable[bytes], path: str) -> None:
  """Checks what `seal` added to what `from_json` accepts.

  Raises:
    UserError: the digest is missing, or another one.
  """
  values = json.loads(metadata_json)
  digest = values.pop(_DIGEST, None)
  if digest is None:
    raise UserError(
      f'{path} has no digest, an earlier version exported it; export it again, '
      'or add --trust if you would run it as a program'
    )
  if digest != _digest(values, content):
    raise UserError(
      f'{path} is not what was exported: its digest differs; add --trust if '
      'you would run it as a program'
    )


def _digest(values: dict[str, Any], content: Iterable[bytes]) -> str:
  digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
  for part in content:
    digest.update(part)
  return digest.hexdigest()
