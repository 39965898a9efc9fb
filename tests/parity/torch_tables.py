"""Our tables of Inception-v3 and v4 as PyTorch modules, at any width.

The parameters have our names, with '.' between the parts: `named` of flax's
parameters is a state dict for `load_state_dict`.
"""

import numpy as np
import torch
from torch import nn

from inception_jax.models import specs
from inception_jax.models.layers import CHANNEL_MULTIPLE


class _Options:
  def __init__(self, width: float, epsilon: float, momentum: float, counted):
    self.width, self.epsilon, self.momentum = width, epsilon, momentum
    self.counted = counted

  def channels(self, features: int) -> int:
    if self.width == 1.0:
      return features
    multiple = int(features * self.width / CHANNEL_MULTIPLE + 0.5)
    return max(1, multiple) * CHANNEL_MULTIPLE


class _ConvBN(nn.Module):
  def __init__(self, spec, inputs: int, o: _Options):
    super().__init__()
    self.channels = o.channels(spec.features)
    self.conv = nn.Conv2d(
      *(inputs, self.channels, spec.kernel, spec.strides),
      padding=_padding(spec, spec.kernel),
      bias=False,
    )
    # PyTorch's momentum is the weight of the new statistics.
    self.bn = nn.BatchNorm2d(self.channels, o.epsilon, 1 - o.momentum)

  def forward(self, x):
    return torch.relu(self.bn(self.conv(x)))


class _Mixed(nn.Module):
  def __init__(self, spec, inputs: int, o: _Options):
    super().__init__()
    self.channels, self.paths = 0, []
    for i, branch in enumerate(spec.branches):
      path, channels = [], inputs
      for j, entry in enumerate(branch):
        module, channels = _module(entry, channels, o)
        path.append(f'branch{i}_{j}')
        self.add_module(path[-1], module)
      self.paths.append(path)
      self.channels += channels

  def forward(self, x):
    outputs = []
    for path in self.paths:
      y = x
      for name in path:
        y = getattr(self, name)(y)
      outputs.append(y)
    return torch.cat(outputs, 1)


def _padding(spec, kernel):
  if spec.padding == 'SAME':
    assert spec.strides == 1, 'SAME pads one side only at stride 2'
    return tuple(size // 2 for size in kernel)
  return (1, 1) if spec.padding == specs.PAD_1 else (0, 0)


def _module(spec, inputs: int, o: _Options):
  """Returns the module of a table's entry, and its output channels."""
  match spec:
    case specs.Conv():
      module = _ConvBN(spec, inputs, o)
    case specs.Mixed():
      module = _Mixed(spec, inputs, o)
    case specs.Pool(kind='max'):
      padding = _padding(spec, (spec.size, spec.size))
      return nn.MaxPool2d(spec.size, spec.strides, padding), inputs
    case specs.Pool(kind='avg'):
      padding = _padding(spec, (spec.size, spec.size))
      pool = nn.AvgPool2d(
        spec.size, spec.strides, padding, count_include_pad=o.counted
      )
      return pool, inputs
    case _:
      raise TypeError(f'unknown stage: {spec!r}')
  return module, module.channels


class Network(nn.Module):
  """[B, 3, S, S] → logits [B, num_classes], of a table of `specs`."""

  def __init__(self, table, num_classes: int, dropout: float, **options):
    super().__init__()
    o, channels, self.stages = _Options(**options), 3, []
    for name, spec in table:
      module, channels = _module(spec, channels, o)
      self.stages.append(name)
      self.add_module(name, module)
    self.dropout = nn.Dropout(dropout)
    self.head = nn.ModuleDict({'dense': nn.Linear(channels, num_classes)})

  def forward(self, x):
    for name in self.stages:
      x = getattr(self, name)(x)
    return self.head['dense'](self.dropout(x.mean((2, 3))))


def state_dict(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
  """Returns our parameters and statistics as PyTorch's.

  Args:
    arrays: 'params/mixed_5b/branch0_0/conv/kernel', 'batch_stats/…' → array.
  """
  names = {'kernel': 'weight', 'scale': 'weight'}
  names |= {'mean': 'running_mean', 'var': 'running_var'}
  order = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
  tensors = {}
  for path, array in arrays.items():
    *parents, leaf = path.split('/')[1:]
    name = '.'.join([*parents, names.get(leaf, leaf)])
    transposed = array.transpose(order[array.ndim])
    tensors[name] = torch.from_numpy(np.ascontiguousarray(transposed))
  return tensors
