"""Maps each tensor of a framework's file to a variable, with its layout."""

from collections.abc import Iterator
import dataclasses

import numpy as np

from inception_jax.models import specs
from inception_jax.models.network import Inception
from inception_jax.weights.sources import Source
from inception_jax.weights.sources import Style


@dataclasses.dataclass(frozen=True)
class TensorMapping:
  """The path of a variable, ('params', …), and its tensor's name in a file."""

  path: tuple[str, ...]
  name: str
  kind: str  # 'conv' and 'dense' are kernels, which may be transposed; 'vector'


def mappings(model: Inception, source: Source) -> list[TensorMapping]:
  """Returns the mapping of every variable of `model`, by `source`'s names."""
  body, head, aux = _units(model)
  names = source.names
  unit_names = names.body, names.head if head else (), names.aux if aux else ()
  result = []
  for units, group in zip((body, head, aux), unit_names, strict=True):
    for (path, kind), name in zip(units, group, strict=True):
      result += _unit_mappings(source.style, path, kind, name)
  return result


def _units(model: Inception) -> tuple[list, list, list]:
  """Returns (path, kind) of each unit of the body, the head, the aux head."""
  body = [u for name, spec in model.table for u in _spec_units(spec, (name,))]
  head = [(('head', 'dense'), 'dense')] if model.num_classes else []
  if head and model.head_batch_norm:
    head.insert(0, (('head', 'bn_features'), 'norm'))
    head.append((('head', 'bn_logits'), 'norm'))
  conv = 'conv_norm' if model.aux_batch_norm else 'conv'
  aux = [
    (('aux', 'conv_0'), conv),
    (('aux', 'conv_1'), conv),
    (('aux', 'head', 'dense'), 'dense'),
  ]
  return body, head, aux if model.aux_head else []


def _spec_units(spec, path):
  match spec:
    case specs.Conv():
      yield path, 'conv_norm'
    case specs.Mixed(branches=branches):
      for i, branch in enumerate(branches):
        for j, entry in enumerate(branch):
          yield from _spec_units(entry, (*path, f'branch{i}_{j}'))
    case specs.Residual(branches=branches):
      yield from _spec_units(branches, (*path, 'branches'))
      yield (*path, 'up'), 'biased'
    case specs.ProjectedResidual(branches=branches):
      yield from _spec_units(branches, (*path, 'branches'))
      yield (*path, 'up'), 'biased'
      yield (*path, 'shortcut'), 'biased'
      yield (*path, 'bn'), 'norm'


def _unit_mappings(
  style: Style, path, kind: str, name: str
) -> Iterator[TensorMapping]:
  params, stats = ('params', *path), ('batch_stats', *path)
  prefix = style.layer_prefix(name)
  if kind == 'conv_norm':
    kernel = style.conv_prefix(name) + style.kernel
    yield TensorMapping((*params, 'conv', 'kernel'), kernel, 'conv')
    params, stats = (*params, 'bn'), (*stats, 'bn')
    prefix = style.norm_prefix(name)
  elif kind == 'conv':
    kernel = prefix + style.kernel
    yield TensorMapping((*params, 'conv', 'kernel'), kernel, 'conv')
    return
  elif kind != 'norm':
    kernel_kind = 'dense' if kind == 'dense' else 'conv'
    yield TensorMapping((*params, 'kernel'), prefix + style.kernel, kernel_kind)
    yield TensorMapping((*params, 'bias'), prefix + style.bias, 'vector')
    return
  if style.scale:
    yield TensorMapping((*params, 'scale'), prefix + style.scale, 'vector')
  yield TensorMapping((*params, 'bias'), prefix + style.offset, 'vector')
  yield TensorMapping((*stats, 'mean'), prefix + style.mean, 'vector')
  yield TensorMapping((*stats, 'var'), prefix + style.var, 'vector')


def to_flax(array: np.ndarray, kind: str, style: Style) -> np.ndarray:
  """Converts a tensor to float32 in flax's layout, [H, W, I, O] or [I, O]."""
  if kind == 'dense' and array.ndim == 4 and array.shape[:2] == (1, 1):
    array = array[0, 0]  # the classifier of TF-slim's v3 is a 1×1 convolution
  if style.oihw and kind != 'vector':
    order = {4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim)
    array = array.transpose(order) if order else array
  return np.ascontiguousarray(array, np.float32)


def from_flax(array: np.ndarray, kind: str, style: Style) -> np.ndarray:
  """Inverts `to_flax`, except for TF-slim's 1×1 convolution."""
  if style.oihw and kind != 'vector':
    array = array.transpose((3, 2, 0, 1) if array.ndim == 4 else (1, 0))
  return np.ascontiguousarray(array, np.float32)
