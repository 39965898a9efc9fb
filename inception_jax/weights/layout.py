"""Where each tensor of another framework's file goes, and how it lies there."""

import dataclasses

import numpy as np

from inception_jax.models import specs
from inception_jax.weights.sources import Source
from inception_jax.weights.sources import Style


@dataclasses.dataclass(frozen=True)
class Leaf:
  """Where one tensor goes: our path, its name there, and what it is."""

  path: tuple[str, ...]
  name: str
  kind: str  # 'conv' and 'dense' kernels are transposed, a 'vector' is not


def _units(model) -> tuple[list, list, list]:
  """The (path, kind) of each unit of a network: its body, head, aux head."""
  body = [
    unit for name, spec in model.table for unit in _units_of(spec, (name,))
  ]
  head = [(('head', 'dense'), 'dense')]
  if model.head_batch_norm:
    head.insert(0, (('head', 'bn_features'), 'norm'))
    head.append((('head', 'bn_logits'), 'norm'))
  conv = 'conv_norm' if model.aux_batch_norm else 'conv'
  aux = [
    (('aux', 'conv_0'), conv),
    (('aux', 'conv_1'), conv),
    (('aux', 'head', 'dense'), 'dense'),
  ]
  return body, head, aux if model.aux_head else []


def _units_of(spec, path):
  match spec:
    case specs.Conv():
      yield path, 'conv_norm'
    case specs.Mixed(branches=branches):
      for i, branch in enumerate(branches):
        for j, entry in enumerate(branch):
          yield from _units_of(entry, (*path, f'branch{i}_{j}'))
    case specs.Residual(branches=branches):
      yield from _units_of(branches, (*path, 'branches'))
      yield (*path, 'up'), 'biased'
    case specs.ProjectedResidual(branches=branches):
      yield from _units_of(branches, (*path, 'branches'))
      yield (*path, 'up'), 'biased'
      yield (*path, 'shortcut'), 'biased'
      yield (*path, 'bn'), 'norm'


def leaves(model, source: Source) -> list[Leaf]:
  """Every tensor of `model`, as `source` names it."""
  body, head, aux = _units(model)
  names = source.names
  result = []
  for kinds, called in (
    (body, names.body),
    (head, names.head),
    (aux, names.aux if aux else ()),
  ):
    for (path, kind), name in zip(kinds, called, strict=True):
      result += _unit_leaves(source.style, path, kind, name)
  return result


def _unit_leaves(style: Style, path, kind: str, name: str):
  params, stats = ('params', *path), ('batch_stats', *path)
  own = style.own(name)
  if kind == 'conv_norm':
    prefix = style.conv(name) + style.kernel
    yield Leaf((*params, 'conv', 'kernel'), prefix, 'conv')
    params, stats = (*params, 'bn'), (*stats, 'bn')
    own = style.norm(name)
  elif kind == 'conv':
    yield Leaf((*params, 'conv', 'kernel'), own + style.kernel, 'conv')
    return
  elif kind != 'norm':
    kernel = 'dense' if kind == 'dense' else 'conv'
    yield Leaf((*params, 'kernel'), own + style.kernel, kernel)
    yield Leaf((*params, 'bias'), own + style.bias, 'vector')
    return
  if style.scale:
    yield Leaf((*params, 'scale'), own + style.scale, 'vector')
  yield Leaf((*params, 'bias'), own + style.offset, 'vector')
  yield Leaf((*stats, 'mean'), own + style.mean, 'vector')
  yield Leaf((*stats, 'var'), own + style.var, 'vector')


def ours(array: np.ndarray, kind: str, style: Style) -> np.ndarray:
  """A tensor in our layout: kernels [H, W, I, O] and [I, O]."""
  if kind == 'dense' and array.ndim == 4 and array.shape[:2] == (1, 1):
    array = array[0, 0]  # TF-slim's v3 classifies by a 1×1 convolution
  if style.oihw and kind != 'vector':
    order = {4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim)
    array = array.transpose(order) if order else array
  return np.ascontiguousarray(array, np.float32)


def theirs(array: np.ndarray, kind: str, style: Style) -> np.ndarray:
  """The reverse of `ours`, but for TF-slim's 1×1 convolutions."""
  if style.oihw and kind != 'vector':
    array = array.transpose((3, 2, 0, 1) if array.ndim == 4 else (1, 0))
  return np.ascontiguousarray(array, np.float32)
