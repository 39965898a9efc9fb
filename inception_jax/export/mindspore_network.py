"""Describes a network for `mindspore_side.py`, which builds it in MindSpore."""

from typing import Any

from flax import traverse_util
import numpy as np

from inception_jax.models import specs
from inception_jax.models.network import Inception


def describe(
  model: Inception, params
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
  """Returns a folded network as JSON values, and its tensors by name.

  Args:
    model: the network with BatchNorm folded, see `fold.fold`.
    params: its parameters.

  Returns:
    The stages in order, with the arguments of MindSpore's layers; and the
    parameters in MindSpore's layout, [O, I, H, W] and [O, I].
  """
  params = traverse_util.flatten_dict(params, sep='.')
  count_include_pad = model.options.count_include_pad

  def layer(kind: str, name: str, **options) -> dict[str, Any]:
    *_, channels, features = params[f'{name}.kernel'].shape
    named = {'name': name, 'channels': int(channels), 'features': int(features)}
    return {'kind': kind, **named, **options}

  def pointwise(name: str) -> dict[str, Any]:
    return layer('conv', name, kernel_size=(1, 1))

  def chain(spec, name: str) -> list[dict[str, Any]]:
    match spec:
      case specs.Conv():
        options = {'kernel_size': spec.kernel, 'stride': spec.strides}
        options |= _padding(spec.padding)
        return [layer('conv', f'{name}.conv', **options), {'kind': 'relu'}]
      case specs.Pool():
        return [_pool(spec, count_include_pad)]
      case specs.Mixed(branches=branches):
        return [{'kind': 'mixed', 'branches': mixed(branches, name)}]
      case specs.Residual() | specs.ProjectedResidual():
        projected = isinstance(spec, specs.ProjectedResidual)
        return [
          {
            'kind': 'residual',
            'branches': chain(spec.branches, f'{name}.branches'),
            'up': pointwise(f'{name}.up'),
            'shortcut': pointwise(f'{name}.shortcut') if projected else None,
            'relu': projected or spec.relu,
          }
        ]
    raise TypeError(f'unknown stage: {spec!r}')

  def mixed(branches, name: str) -> list[list[dict[str, Any]]]:
    return [
      [
        part
        for j, entry in enumerate(branch)
        for part in chain(entry, f'{name}.branch{i}_{j}')
      ]
      for i, branch in enumerate(branches)
    ]

  stages = [part for name, spec in model.table for part in chain(spec, name)]
  stages.append({'kind': 'mean'})
  if model.num_classes:
    stages.append(layer('dense', 'head.dense'))
  tensors = {
    name.replace('kernel', 'weight'): _to_mindspore(x)
    for name, x in params.items()
  }
  return stages, tensors


def _padding(padding: specs.Padding) -> dict[str, Any]:
  if padding == specs.PAD_1:
    return {'pad_mode': 'pad', 'padding': 1}
  return {'pad_mode': padding.lower()}


def _pool(spec: specs.Pool, count_include_pad: bool) -> dict[str, Any]:
  options = {'kernel_size': (spec.size,) * 2, 'stride': spec.strides}
  options |= _padding(spec.padding)
  if spec.kind == 'avg' and spec.padding == 'SAME' and count_include_pad:
    # MindSpore's 'same' never counts the padding. At stride 1, this is it.
    options |= {'pad_mode': 'pad', 'padding': spec.size // 2}
    options['count_include_pad'] = True
  return {'kind': spec.kind, **options}


def _to_mindspore(array: np.ndarray) -> np.ndarray:
  order = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[array.ndim]
  return np.ascontiguousarray(array.transpose(order), np.float32)
