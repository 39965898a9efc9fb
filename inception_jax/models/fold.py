"""A network for inference: BatchNorm and scales become part of convolutions."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from inception_jax.models.network import Inception
from inception_jax.models.specs import ProjectedResidual
from inception_jax.models.specs import Residual

_HEAD_EPSILONS = {'bn_features': 1e-3, 'bn_logits': 1e-5}


def fold(
  model: Inception,
  variables: Mapping[str, Any],
  standard: bool,
  whole_numbers: bool = False,
) -> tuple[Inception, dict[str, Any]]:
  """The same function of an image, with fewer and smaller operations.

  Args:
    model: any network of the family.
    variables: {'params', 'batch_stats'}, float32.
    standard: see `Options`.
    whole_numbers: see `Options`.

  Returns:
    The network without BatchNorm, auxiliary head and dropout, and its
    {'params'}, numpy arrays.
  """
  folded = dataclasses.replace(
    model,
    aux_head=False,
    head_batch_norm=False,
    dropout_rate=0.0,
    options=dataclasses.replace(
      model.options,
      folded=True,
      standard=standard,
      whole_numbers=whole_numbers,
    ),
    parent=None,
    name=None,
  )
  params = {k: v for k, v in variables['params'].items() if k != 'aux'}
  stats = variables.get('batch_stats', {})
  scales = {
    name: spec.scale
    for name, spec in model.table
    if isinstance(spec, Residual | ProjectedResidual)
  }
  epsilon = model.options.bn_epsilon
  return folded, {
    'params': {
      name: _fold(value, stats.get(name, {}), epsilon, scales.get(name, 1.0))
      for name, value in params.items()
    }
  }


def _fold(params, stats, epsilon: float, scale: float = 1.0):
  if not isinstance(params, Mapping):
    return np.asarray(params)
  norm = lambda name, e=epsilon: _affine(params[name], stats[name], e)
  if 'bn_features' in params:
    dense = params['dense']
    kernel, bias = np.asarray(dense['kernel']), np.asarray(dense['bias'])
    (a, b), (c, d) = (norm(n, e) for n, e in _HEAD_EPSILONS.items())
    bias = (bias + b @ kernel) * c + d
    return {'dense': {'kernel': a[:, None] * kernel * c, 'bias': bias}}
  if scale != 1.0:  # of a residual
    up = {key: scale * np.asarray(x) for key, x in params['up'].items()}
    params = {**params, 'up': up}
  if 'bn' not in params:
    return {
      key: _fold(value, stats.get(key, {}), epsilon)
      for key, value in params.items()
    }
  factor, offset = norm('bn')
  if 'conv' in params:
    kernel = np.asarray(params['conv']['kernel']) * factor
    return {'conv': {'kernel': kernel, 'bias': offset}}
  # A sum of two convolutions, whose offset goes with the first.
  found = {'branches': _fold(params['branches'], stats['branches'], epsilon)}
  for name, rest in (('shortcut', offset), ('up', 0.0)):
    kernel, bias = (np.asarray(params[name][k]) for k in ('kernel', 'bias'))
    found[name] = {'kernel': kernel * factor, 'bias': bias * factor + rest}
  return found


def _affine(params, stats, epsilon: float):
  """BatchNorm as x · factor + offset, computed in float64."""
  scale, bias, mean, var = (
    np.asarray(x, np.float64)
    for x in (params['scale'], params['bias'], stats['mean'], stats['var'])
  )
  factor = scale / np.sqrt(var + epsilon)
  return factor.astype(np.float32), (bias - mean * factor).astype(np.float32)
