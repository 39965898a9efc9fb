"""Folds BatchNorm and residual scales into convolutions, for inference."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from inception_jax.models.network import HEAD_EPSILONS
from inception_jax.models.network import Inception
from inception_jax.models.specs import ProjectedResidual
from inception_jax.models.specs import Residual


def fold(
  model: Inception,
  variables: Mapping[str, Any],
  portable: bool,
  int8: bool = False,
) -> tuple[Inception, dict[str, Any]]:
  """Returns an equivalent network with fewer and smaller operations.

  It has no BatchNorm, auxiliary head and dropout. `variables` are float32; for
  `portable` and `int8`, see `LayerOptions`.

  Returns:
    The network, and its {'params'} as numpy arrays.
  """
  folded = dataclasses.replace(
    model,
    aux_head=False,
    head_batch_norm=False,
    dropout_rate=0.0,
    options=dataclasses.replace(
      model.options, folded=True, portable=portable, int8=int8
    ),
    parent=None,
    name=None,
  )
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
      for name, value in variables['params'].items()
      if name != 'aux'
    }
  }


def _fold(params, stats, epsilon: float, scale: float = 1.0):
  """Returns a stage's or layer's params; `scale` is that of a residual."""
  if not isinstance(params, Mapping):
    return np.asarray(params)
  affine = lambda name, e=epsilon: _affine(params[name], stats[name], e)
  if 'bn_features' in params:
    dense = params['dense']
    kernel, bias = np.asarray(dense['kernel']), np.asarray(dense['bias'])
    (a, b), (c, d) = (affine(n, e) for n, e in HEAD_EPSILONS.items())
    bias = (bias + b @ kernel) * c + d
    return {'dense': {'kernel': a[:, None] * kernel * c, 'bias': bias}}
  if scale != 1.0:
    up = {key: scale * np.asarray(x) for key, x in params['up'].items()}
    params = {**params, 'up': up}
  if 'bn' not in params:
    return {
      key: _fold(value, stats.get(key, {}), epsilon)
      for key, value in params.items()
    }
  factor, offset = affine('bn')
  if 'conv' in params:
    kernel = np.asarray(params['conv']['kernel']) * factor
    return {'conv': {'kernel': kernel, 'bias': offset}}
  # BatchNorm of a sum of two convolutions: the offset is added to the first.
  folded = {'branches': _fold(params['branches'], stats['branches'], epsilon)}
  for name, rest in (('shortcut', offset), ('up', 0.0)):
    kernel, bias = (np.asarray(params[name][k]) for k in ('kernel', 'bias'))
    folded[name] = {'kernel': kernel * factor, 'bias': bias * factor + rest}
  return folded


def _affine(params, stats, epsilon: float):
  """Returns BatchNorm's factor and offset, computed in float64."""
  scale, bias, mean, var = (
    np.asarray(x, np.float64)
    for x in (params['scale'], params['bias'], stats['mean'], stats['var'])
  )
  factor = scale / np.sqrt(var + epsilon)
  return factor.astype(np.float32), (bias - mean * factor).astype(np.float32)
