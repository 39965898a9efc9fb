"""Builds a network in MindSpore and exports it; runs with mindspore alone.

python FOLDER/export_air.py       # on a machine with an Ascend device

`tools.export` puts this program into a folder with `weights.ckpt` and
`network.json`: the layers, as `export.mindspore_network.describe` returns them,
the input's shape, the metadata and their key in the file. The program writes
`network.air` there, for one image at a time.

With the argument MINDIR, it writes `network.mindir` on a CPU, for any batch,
and runs that on `images.npy`, float32 [B, C, S, S]: the results are
`logits.npy`, and in `seconds.json` as many times of it as `rounds` says.
"""

import json
import os
import sys
import timeit
import traceback


def main(file_format: str = 'AIR') -> None:
  """Loads every weight and exports."""
  import mindspore as ms

  with open(_inside('network.json')) as file:
    request = json.load(file)
  device = 'Ascend' if file_format == 'AIR' else 'CPU'
  try:
    ms.set_device(device)
  except (RuntimeError, ValueError) as error:
    reason = str(error).strip().partition('\n')[0]
    raise SystemExit(f'error: no {device} device here: {reason}') from error
  net = build(request['stages'])
  tensors = ms.load_checkpoint(_inside('weights.ckpt'))
  not_loaded = ms.load_param_into_net(net, tensors, strict_load=True)
  if not_loaded != ([], []):
    raise ValueError(f'not in the file, and not in the network: {not_loaded}')
  net.set_train(False)
  if file_format == 'AIR':
    images = ms.ops.zeros((1, *request['shape']), ms.float32)
    ms.export(net, images, file_name=_inside('network'), file_format='AIR')
    print(f'wrote {_inside("network.air")}')
  else:
    _export_mindir(net, request)


def build(stages):
  """Returns the network of a description, with the parameters' names."""
  from mindspore import nn

  layers = []

  def named(layer, name):
    layers.append((layer, name))
    return layer

  def conv(name, channels, features, **options):
    initial = {'weight_init': 'zeros', 'bias_init': 'zeros'}
    layer = nn.Conv2d(channels, features, has_bias=True, **initial, **options)
    return named(layer, name)

  def dense(name, channels, features):
    return named(nn.Dense(channels, features, 'zeros', 'zeros'), name)

  def cell(kind, kernel_size=None, **options):
    if kernel_size:
      options['kernel_size'] = tuple(kernel_size)
    return kinds[kind](**options)

  def chain(stages):
    return nn.SequentialCell([cell(**stage) for stage in stages])

  kinds = {
    **{'conv': conv, 'dense': dense, 'relu': nn.ReLU},
    **{'max': nn.MaxPool2d, 'avg': nn.AvgPool2d, **_blocks(chain)},
  }
  net = chain(stages)
  # Only now, since each cell puts its number before the names in it.
  for layer, name in layers:
    layer.weight.name, layer.bias.name = f'{name}.weight', f'{name}.bias'
  return net


def _blocks(chain):
  """Returns the cells that MindSpore lacks; `chain` builds those in them."""
  from mindspore import nn
  from mindspore import ops

  class Mixed(nn.Cell):
    def __init__(self, branches):
      super().__init__()
      self.branches = nn.CellList([chain(branch) for branch in branches])

    def construct(self, x):
      outputs = ()
      for branch in self.branches:
        outputs += (branch(x),)
      return ops.concat(outputs, 1)

  class Residual(nn.Cell):
    def __init__(self, branches, up, shortcut, relu):
      super().__init__()
      self.branches, self.up = chain(branches), chain([up])
      self.shortcut = chain([shortcut] if shortcut else [])
      self.relu = chain([{'kind': 'relu'}] if relu else [])

    def construct(self, x):
      return self.relu(self.shortcut(x) + self.up(self.branches(x)))

  class Mean(nn.Cell):
    def construct(self, x):
      return ops.mean(x, (2, 3))

  return {'mixed': Mixed, 'residual': Residual, 'mean': Mean}


def _export_mindir(net, request) -> None:
  import mindspore as ms
  import numpy as np

  def add_metadata(model):
    model.user_info[request['metadata_key']] = request['metadata']

  path, images = _inside('network.mindir'), np.load(_inside('images.npy'))
  ms.export(
    net,
    ms.Tensor(shape=[None, *request['shape']], dtype=ms.float32),
    file_name=path,
    file_format='MINDIR',
    custom_func=add_metadata,
  )
  _check_metadata(path, request['metadata_key'], request['metadata'])
  graph = ms.nn.GraphCell(ms.load(path))
  # Two batch sizes, since the file must take any.
  logits = [graph(ms.Tensor(x)).asnumpy() for x in (images[:1], images[1:])]
  np.save(_inside('logits.npy'), np.concatenate(logits))
  classify = lambda: graph(ms.Tensor(images)).asnumpy()
  if request['rounds']:
    classify()  # compiles
  seconds = timeit.repeat(classify, number=1, repeat=request['rounds'])
  with open(_inside('seconds.json'), 'w') as file:
    json.dump(seconds, file)


def _check_metadata(path: str, key: str, expected: str) -> None:
  from mindspore.train.mind_ir_pb2 import ModelProto

  with open(path, 'rb') as file:
    actual = ModelProto.FromString(file.read()).user_info[key]
  if actual != expected:
    raise ValueError(f'{path} has other metadata: {actual!r}')


def _inside(name: str) -> str:
  return os.path.join(os.path.dirname(os.path.abspath(__file__)), name)


if __name__ == '__main__':
  status = 0
  try:
    main(*sys.argv[1:])
  except SystemExit as error:
    print(error, file=sys.stderr)
    status = 2
  except Exception:
    traceback.print_exc()
    status = 1
  sys.stderr.flush()
  sys.stdout.flush()
  # Not sys.exit: at exit, mindspore logs a complaint for each of its cells.
  os._exit(status)
