"""Weights in the hub's layout: config.json beside the weights, as timm has it.

On the Hugging Face hub (`hf-hub:timm/inception_v4.tf_in1k`), by its own client
with its cache, or in a folder, as its downloads and Kaggle's datasets are.
"""

import dataclasses
import functools
import os
import re
from typing import Any

from inception_jax import errors
from inception_jax import extras
from inception_jax import inputs
from inception_jax.errors import UserError
from inception_jax.models import card as card_lib
from inception_jax.models import metadata
from inception_jax.weights import limits
from inception_jax.weights import readers
from inception_jax.weights.convert import Weights

_REFERENCE = re.compile(
  r'hf[-_]hub:(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[^@]+))?', re.ASCII
)
_CONFIG = 'config.json'
_MAX_CONFIG = 2**24  # bytes; the names of 21,841 classes are 2**20
# The likeliest first; timm writes the first and the last.
_WEIGHTS = (
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
)
# timm's crop modes by ours. Its 'squash' resizes height and width to
# input_size / crop_pct and cuts the center.
_CROP_MODES = {'center': 'short_side', 'squash': 'central'}
OWN = 'inception_jax'  # key of what timm's config has no words for


def is_reference(path: str) -> bool:
  """Returns whether `path` names a repository on the hub."""
  return path.startswith(('hf-hub:', 'hf_hub:'))


def find(folder: str) -> str | None:
  """Returns the weights of a folder in the hub's layout, None for others."""
  if os.path.isfile(os.path.join(folder, _CONFIG)):
    for name in _WEIGHTS:
      if os.path.isfile(path := os.path.join(folder, name)):
        return path
  return None


def download(reference: str) -> str:
  """Downloads a repository's weights and config.json, unless they are cached.

  Args:
    reference: 'hf-hub:OWNER/NAME' or 'hf-hub:OWNER/NAME@REVISION'.

  Returns:
    The path of the weights in the hub's cache, of the same commit as the
    config.json beside them.

  Raises:
    UserError: there is no such repository, revision or file, the hub cannot be
      reached, or the file is larger than any network of the family.
  """
  match = _REFERENCE.fullmatch(reference)
  if not match:
    raise UserError(
      f'{reference}: expected hf-hub:OWNER/NAME or hf-hub:OWNER/NAME@REVISION'
    )
  with extras.imports():
    import huggingface_hub as client  # takes half a second

  fetch = functools.partial(_fetch, client, reference, match['repo'])
  config = fetch(match['revision'], _CONFIG)
  # All files are of the same commit, whatever is pushed meanwhile.
  commit = os.path.basename(os.path.dirname(config))
  for name in _WEIGHTS:
    try:
      path = fetch(commit, name)
    except client.errors.EntryNotFoundError:
      continue
    if name.endswith('.index.json'):
      for shard in readers.shard_names(path):
        fetch(commit, shard)
    return path
  raise UserError(
    f'{reference} has none of {", ".join(_WEIGHTS)}, or offline none is cached'
  )


def _fetch(
  client, reference: str, repo: str, revision: str | None, name: str
) -> str:
  """Returns the path of a file in the cache, downloading it if it is missing.

  Raises:
    EntryNotFoundError: the repository has no such weights.
    UserError: any other failure.
  """
  try:
    get = functools.partial(
      client.hf_hub_download, repo, name, revision=revision
    )
    limits.check_size(get(dry_run=True).file_size or 0)
    return get()
  except client.errors.EntryNotFoundError as error:
    if name != _CONFIG:
      raise
    if isinstance(error, client.errors.LocalEntryNotFoundError):
      reason = 'the hub cannot be reached, and it is not in the cache'
    else:
      reason = f'it has no {_CONFIG}'
  except client.errors.GatedRepoError:
    reason = 'access to it must be granted first, on its page'
  except client.errors.RepositoryNotFoundError:
    reason = 'no such repository, or it is private: hf auth login'
  except client.errors.RevisionNotFoundError:
    reason = f'it has no revision {revision}'
  # Whatever the network, the disk or the hub's answer does.
  except (OSError, ValueError) as error:
    reason = errors.one_line(error)
  raise UserError(f'{reference}: {reason}')


def described(weights: Weights, path: str) -> Weights:
  """Returns `weights` prepared and named as the config.json beside them says.

  What it does not say stays as it is.

  Args:
    weights: imported from `path`.
    path: their file, in a folder of the hub's layout.

  Raises:
    UserError: the preprocessing is none that this package has; lists all of it.
  """
  path = os.path.join(os.path.dirname(path), _CONFIG)
  try:
    with open(path, 'rb') as file:
      config = inputs.parse_json(file.read(_MAX_CONFIG))
    card = card_fields(config.get('pretrained_cfg', config))  # flat if old
    card |= config.get(OWN, {})
    names = config.get('label_names')
  except (AttributeError, OSError, TypeError, ValueError) as error:
    raise UserError(
      f"{path} is no config of timm's: {errors.one_line(error)}"
    ) from error
  if not isinstance(names, list) or len(names) != weights.network.num_classes:
    names = ()
  about = metadata.to_dict(weights.network, weights.card, names)
  about['card'] |= card
  _, card, classes = metadata.from_dict(about, path, headless=True)
  # Of a network for grey images, timm stores ImageNet's three means.
  card = card_lib.of_channels(card, len(weights.card.mean))
  return dataclasses.replace(weights, card=card, classes=classes)


def card_fields(config: dict[str, Any]) -> dict[str, Any]:
  """Returns the fields of a `Card` that a `pretrained_cfg` of timm's has."""
  config = {key: value for key, value in config.items() if value is not None}
  card = {}
  if 'input_size' in config:
    _, height, width = config['input_size']
    if height != width:
      raise ValueError(f'input_size {height}×{width} is no square')
    card['input_size'] = height
  for key in ('mean', 'std'):
    if key in config:
      card[key] = tuple(255 * float(x) for x in config[key])
  if 'interpolation' in config:
    card['interpolation'] = config['interpolation']
  if 'crop_pct' in config:
    card['crop_fraction'] = float(config['crop_pct'])
  if 'crop_mode' in config:
    mode = config['crop_mode']
    card['crop_mode'] = _CROP_MODES.get(mode, mode)
  return card
