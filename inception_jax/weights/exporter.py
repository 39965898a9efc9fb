"""Our variables as files that other frameworks load."""

import dataclasses
import json
import logging
import math
from typing import Any

from flax import traverse_util
import jax
import numpy as np

from inception_jax.errors import UserError
from inception_jax.models import factory
from inception_jax.weights import layout
from inception_jax.weights import mindspore_file
from inception_jax.weights.convert import Weights
from inception_jax.weights.sources import MINDCV
from inception_jax.weights.sources import TIMM
from inception_jax.weights.sources import Source

log = logging.getLogger(__name__)

# What a network of another framework cannot be told, and its value there.
_FIXED = {
  'stem': 'imagenet',
  'width': 1.0,
  'head_batch_norm': False,
  'aux_batch_norm': True,
}


def _write_safetensors(path: str, tensors, weights: Weights) -> None:
  import safetensors.numpy

  counters = {
    name.replace('running_mean', 'num_batches_tracked'): np.zeros((), np.int64)
    for name in tensors
    if name.endswith('running_mean')
  }
  about = json.dumps(
    factory.about(weights.model, weights.card, weights.classes)
  )
  safetensors.numpy.save_file(
    tensors | counters, path, {'format': 'pt', 'inception_jax': about}
  )


def _write_mindspore(path: str, tensors, weights: Weights) -> None:
  del weights  # the format has no place for anything but tensors
  mindspore_file.write(path, tensors)


# Format → the framework's networks, the ending of its files, their writer.
FORMATS = {
  'timm': (TIMM, '.safetensors', _write_safetensors),
  'mindcv': (MINDCV, '.ckpt', _write_mindspore),
}


def save(weights: Weights, path: str, file_format: str) -> int:
  """Writes `weights` as `file_format`; returns how many numbers there are.

  Raises:
    UserError: that framework has no such network; nothing is written.
  """
  networks, ending, write = FORMATS[file_format]
  name = weights.model['name']
  if name not in networks:
    raise UserError(
      f'{networks[next(iter(networks))].framework} has no {name}, only '
      f'{", ".join(networks)}'
    )
  if not path.endswith(ending):
    raise UserError(f'--output={path}: expected a name that ends in {ending}')
  source = networks[name]
  if faults := _not_there(weights, source):
    raise UserError(
      f'{weights.origin} is no {name} as {source.framework} has it:', *faults
    )
  named = tensors(weights.model, weights.card, weights.variables, source)
  write(path, named, weights)
  return sum(tensor.size for tensor in named.values())


def fitting(weights: Weights, file_format: str) -> Weights:
  """`weights` without an auxiliary head that the framework has no place for."""
  networks, _, _ = FORMATS[file_format]
  source = networks.get(weights.model['name'])
  if source is None or source.names.aux or not weights.model['aux_head']:
    return weights
  log.info('the auxiliary head is left out: %s has none', source.framework)
  return without_aux(weights)


def without_aux(weights: Weights) -> Weights:
  """`weights` of the network that has no auxiliary head."""
  return dataclasses.replace(
    weights,
    model={**weights.model, 'aux_head': False},
    variables={
      kind: {name: part for name, part in tree.items() if name != 'aux'}
      for kind, tree in weights.variables.items()
    },
  )


def difference(ours: Weights, read_back: Weights) -> float:
  """The largest difference of any number; ∞ where there is one more or less."""
  if ours.model != read_back.model:
    return math.inf
  largest = jax.tree.map(
    lambda a, b: float(np.max(np.abs(np.asarray(a) - b))),
    ours.variables,
    read_back.variables,
  )
  return max(jax.tree.leaves(largest))


def tensors(
  arguments: dict[str, Any], card, variables, source: Source
) -> dict[str, np.ndarray]:
  """Variables, or as many gradients, by the names of `source`."""
  flat = traverse_util.flatten_dict(jax.tree.map(np.asarray, variables))
  model = factory.create(**arguments, card=card)
  return {
    leaf.name: layout.theirs(flat[leaf.path], leaf.kind, source.style)
    for leaf in layout.leaves(model, source)
  }


def _not_there(weights: Weights, source: Source) -> list[str]:
  faults = [
    f'  model.{key}={weights.model[key]!r}, {there!r} there'
    for key, there in _FIXED.items()
    if weights.model[key] != there
    and not (key == 'aux_batch_norm' and not weights.model['aux_head'])
  ]
  own, there = weights.card, source.card
  if own.bn_epsilon != there.bn_epsilon:
    faults.append(
      f'  model.bn_epsilon={own.bn_epsilon}, {there.bn_epsilon} there'
    )
  if own.count_include_pad != there.count_include_pad:
    word = 'counted' if there.count_include_pad else 'ignored'
    faults.append(
      f'  average pools: the padding is {word} there; a network trained with '
      f'--config.model.pool_padding={word} can go there'
    )
  return faults
