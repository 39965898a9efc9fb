"""Layers of NCHW arrays."""

import types

import numpy as np


class Cell:
  """A layer, with its cells and parameters as attributes."""

  training = True

  def __call__(self, x):
    return self.construct(x)

  def set_train(self, mode):
    self.training = mode

  def parameters(self):
    for value in vars(self).values():
      if isinstance(value, Cell):
        yield from value.parameters()
      elif isinstance(value, types.SimpleNamespace):
        yield value


class CellList(Cell):
  def __init__(self, cells):
    self.cells = list(cells)

  def __iter__(self):
    return iter(self.cells)

  def parameters(self):
    for cell in self.cells:
      yield from cell.parameters()


class SequentialCell(CellList):
  def construct(self, x):
    for cell in self:
      x = cell(x)
    return x


class ReLU(Cell):
  def construct(self, x):
    return np.maximum(x, 0)


def _parameter(*shape):
  return types.SimpleNamespace(name='', array=np.zeros(shape, np.float32))


def _windows(x, size, stride, pad_mode, padding, fill):
  """Returns [B, C, H', W', kh, kw]."""
  pads = []
  for extent, window in zip(x.shape[2:], size, strict=True):
    total = max((-(-extent // stride) - 1) * stride + window - extent, 0)
    pads.append(
      {
        'same': (total // 2, total - total // 2),
        'valid': (0, 0),
        'pad': (padding, padding),
      }[pad_mode]
    )
  assert pad_mode == 'pad' or padding == 0
  x = np.pad(x, ((0, 0), (0, 0), *pads), constant_values=fill)
  windows = np.lib.stride_tricks.sliding_window_view(x, size, (2, 3))
  return windows[:, :, ::stride, ::stride]


class Conv2d(Cell):
  def __init__(
    self,
    in_channels,
    out_channels,
    kernel_size,
    stride=1,
    pad_mode='same',
    padding=0,
    *,
    has_bias,
    weight_init,
    bias_init,
  ):
    assert isinstance(kernel_size, tuple) and has_bias
    self.window = kernel_size, stride, pad_mode, padding, 0.0
    self.weight = _parameter(out_channels, in_channels, *kernel_size)
    self.bias = _parameter(out_channels)

  def construct(self, x):
    windows = _windows(x, *self.window)
    axes = ((1, 4, 5), (1, 2, 3))
    y = np.tensordot(windows, self.weight.array, axes)
    return np.moveaxis(y + self.bias.array, -1, 1)


class Dense(Cell):
  def __init__(self, in_channels, out_channels, weight_init, bias_init):
    self.weight = _parameter(out_channels, in_channels)
    self.bias = _parameter(out_channels)

  def construct(self, x):
    return x @ self.weight.array.T + self.bias.array


class MaxPool2d(Cell):
  def __init__(self, kernel_size, stride, pad_mode, padding=0):
    self.window = kernel_size, stride, pad_mode, padding

  def construct(self, x):
    return _windows(x, *self.window, -np.inf).max((4, 5))


class AvgPool2d(Cell):
  """With pad_mode 'same', it never counts the padding."""

  def __init__(
    self, kernel_size, stride, pad_mode, padding=0, count_include_pad=False
  ):
    self.window = kernel_size, stride, pad_mode, padding
    assert pad_mode == 'pad' or not count_include_pad
    self.counts = count_include_pad

  def construct(self, x):
    fill = 0.0 if self.counts else np.nan
    windows = _windows(x, *self.window, fill)
    return np.nanmean(windows, (4, 5)).astype(np.float32)
