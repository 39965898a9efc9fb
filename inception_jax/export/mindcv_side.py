"""Exports a network of MindCV as MINDIR, for `tools.export --format=mindir`.

python mindcv_side.py FOLDER

It runs in an environment with mindspore and mindcv. FOLDER holds
`weights.ckpt`, `images.npy`, float32 [B, C, S, S], and `request.json`: the
network, its number of classes, its metadata and their key in the file, and how
often to time the file. Writes `network.mindir`, `logits.npy`, what that file
computes from the images, and `seconds.json` into FOLDER.
"""

import importlib
import json
import os
import sys
import timeit
import traceback


def main(folder: str) -> None:
  """Loads every weight and exports; loads the file and runs it."""
  import mindspore as ms
  import numpy as np

  inside = lambda name: os.path.join(folder, name)
  with open(inside('request.json')) as file:
    request = json.load(file)
  images = np.load(inside('images.npy'))
  ms.set_device('CPU')
  _, *shape = images.shape
  net = _network(request['network'], request['num_classes'], shape[0])
  tensors = ms.load_checkpoint(inside('weights.ckpt'))
  not_loaded = ms.load_param_into_net(net, tensors, strict_load=True)
  if not_loaded != ([], []):
    raise ValueError(f'not in the file, and not in the network: {not_loaded}')
  net.set_train(False)

  def add_metadata(model):
    model.user_info[request['metadata_key']] = request['metadata']

  path = inside('network.mindir')
  ms.export(
    net,
    ms.Tensor(shape=[None, *shape], dtype=ms.float32),
    file_name=path,
    file_format='MINDIR',
    custom_func=add_metadata,
  )
  _check_metadata(path, request['metadata_key'], request['metadata'])
  graph = ms.nn.GraphCell(ms.load(path))
  # Two batch sizes, since the file must take any.
  logits = [graph(ms.Tensor(x)).asnumpy() for x in (images[:1], images[1:])]
  np.save(inside('logits.npy'), np.concatenate(logits))
  classify = lambda: graph(ms.Tensor(images)).asnumpy()
  if request['rounds']:
    classify()  # compiles
  seconds = timeit.repeat(classify, number=1, repeat=request['rounds'])
  with open(inside('seconds.json'), 'w') as file:
    json.dump(seconds, file)


def _network(name: str, num_classes: int, channels: int):
  """Returns MindCV's network without an auxiliary head.

  MindCV's `create_model` would add one to v3.
  """
  module = importlib.import_module(f'mindcv.models.{name.replace("_", "")}')
  arguments = {'num_classes': num_classes, 'in_channels': channels}
  if name == 'inception_v3':
    return module.InceptionV3(**arguments, aux_logits=False)
  return module.InceptionV4(**arguments)


def _check_metadata(path: str, key: str, expected: str) -> None:
  from mindspore.train.mind_ir_pb2 import ModelProto

  with open(path, 'rb') as file:
    actual = ModelProto.FromString(file.read()).user_info[key]
  if actual != expected:
    raise ValueError(f'{path} has other metadata: {actual!r}')


if __name__ == '__main__':
  status = 0
  try:
    main(*sys.argv[1:])
  except Exception:
    traceback.print_exc()
    status = 1
  sys.stderr.flush()
  # Not sys.exit: at exit, mindspore logs a complaint for each of its cells.
  os._exit(status)
