"""What export/mindspore_side.py uses of mindspore, in NumPy.

The layers follow the documentation of mindspore 2; `make parity` runs the real
ones. A MINDIR is the JSON of its metadata; `load` returns the network that this
process exported last.
"""

import json
import types

import numpy as np

from inception_jax.weights import mindspore_file
from mindspore import nn
from mindspore import ops  # noqa: F401

float32 = np.float32
_exported = []


class Tensor:
  """An array, or the shape of an input."""

  def __init__(self, array=None, shape=None, dtype=None):
    self.array, self.shape, self.dtype = array, shape, dtype

  def asnumpy(self):
    return self.array


def set_device(name):
  if name != 'CPU':
    raise RuntimeError(f'there is no {name}')


def load_checkpoint(path):
  return mindspore_file.read(path)


def load_param_into_net(net, tensors, strict_load):
  """Loads tensors by name; returns the names of others on each side."""
  assert strict_load
  parameters = {p.name: p for p in net.parameters()}
  for name in parameters.keys() & tensors.keys():
    assert parameters[name].array.shape == tensors[name].shape, name
    parameters[name].array = tensors[name]
  missing = [name for name in parameters if name not in tensors]
  return missing, [name for name in tensors if name not in parameters]


def export(net, images, file_name, file_format, custom_func):
  """Writes the metadata, and remembers the network."""
  assert (file_format, images.dtype, net.training) == ('MINDIR', float32, False)
  assert images.shape[0] is None
  model = types.SimpleNamespace(user_info={})
  custom_func(model)
  with open(file_name, 'w') as file:
    json.dump(model.user_info, file)
  _exported.append(net)


def load(path):
  return _exported[-1]


def _graph_cell(net):
  return lambda images: Tensor(net(images.array))


nn.GraphCell = _graph_cell
