"""Writes variables as weight files of other frameworks."""

import dataclasses
import json
import logging
import math
import pathlib

from flax import traverse_util
import jax
import numpy as np

from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.models import metadata
from inception_jax.models.network_config import NetworkConfig
from inception_jax.weights import layout
from inception_jax.weights import mindspore_file
from inception_jax.weights.convert import Weights
from inception_jax.weights.sources import MINDCV
from inception_jax.weights.sources import TIMM
from inception_jax.weights.sources import Source

log = logging.getLogger(__name__)

# Options that timm and MindCV lack, with the value that their networks have.
_FIXED_OPTIONS = {
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
    metadata.to_dict(weights.network, weights.card, weights.classes)
  )
  # Not save_file, which makes a file that only its owner can read.
  content = safetensors.numpy.save(
    tensors | counters, {'format': 'pt', 'inception_jax': about}
  )
  pathlib.Path(path).write_bytes(content)


def _write_mindspore(path: str, tensors, weights: Weights) -> None:
  del weights  # the format has no metadata
  mindspore_file.write(path, tensors)


_OTHERS = '--format=onnx, stablehlo, savedmodel and litert hold every network'
# Format → networks by name, writer.
FORMATS = {
  'timm': (TIMM, _write_safetensors),
  'mindcv': (MINDCV, _write_mindspore),
}


def save(weights: Weights, path: str, file_format: str) -> None:
  """Writes `weights` in `file_format`, one of `FORMATS`.

  Raises:
    UserError: the framework does not have this network; nothing is written.
  """
  sources, write = FORMATS[file_format]
  name = weights.network.name
  if name not in sources:
    framework = next(iter(sources.values())).framework
    raise UserError(
      f'{framework} does not have {name}, only {", ".join(sources)}; {_OTHERS}'
    )
  source = sources[name]
  if faults := _unsupported(weights.network, source):
    raise UserError(
      f'{weights.origin} differs from the {name} of {source.framework}:',
      *faults,
      f'  {_OTHERS}',
    )
  write(path, to_tensors(weights.network, weights.variables, source), weights)


def without_unsupported_aux(weights: Weights, file_format: str) -> Weights:
  """Drops the auxiliary head if the framework's network has none; logs it."""
  sources, _ = FORMATS[file_format]
  source = sources.get(weights.network.name)
  if source is None or source.names.aux or not weights.network.aux_head:
    return weights
  log.info(
    'dropped the auxiliary head: the %s of %s has none',
    source.network_name,
    source.framework,
  )
  return without_aux(weights)


def without_aux(weights: Weights) -> Weights:
  """Returns `weights` without the auxiliary head."""
  return dataclasses.replace(
    weights,
    network=dataclasses.replace(weights.network, aux_head=False),
    variables={
      kind: {name: part for name, part in tree.items() if name != 'aux'}
      for kind, tree in weights.variables.items()
    },
  )


def max_abs_diff(a: Weights, b: Weights) -> float:
  """Returns the largest difference of any value; ∞ if the networks differ."""
  if a.network != b.network:
    return math.inf
  largest = jax.tree.map(
    lambda x, y: float(np.max(np.abs(np.asarray(x) - y))),
    a.variables,
    b.variables,
  )
  return max(jax.tree.leaves(largest))


def to_tensors(
  network: NetworkConfig, variables, source: Source
) -> dict[str, np.ndarray]:
  """Returns variables, or their gradients, as the tensors of `source`."""
  flat = traverse_util.flatten_dict(jax.tree.map(np.asarray, variables))
  return {
    m.name: layout.from_flax(flat[m.path], m.kind, source.style)
    for m in layout.mappings(architectures.create(network), source)
  }


def _unsupported(network: NetworkConfig, source: Source) -> list[str]:
  """Returns a line for each option that the framework's network lacks."""
  theirs = source.network_config(network.num_classes, network.aux_head)
  options = {**_FIXED_OPTIONS, 'bn_epsilon': theirs.bn_epsilon}
  if not network.aux_head:
    del options['aux_batch_norm']
  faults = [
    f'  model.{key}={getattr(network, key)!r}, but {value!r} there'
    for key, value in options.items()
    if getattr(network, key) != value
  ]
  if network.count_include_pad != theirs.count_include_pad:
    padding = 'counted' if theirs.count_include_pad else 'ignored'
    faults.append(
      f'  average pools: the padding is {padding} there; train with '
      f'--config.model.pool_padding={padding} to export to it'
    )
  return faults
