"""The other side of `tools.export --format=mindir`: mindspore's own export.

python mindcv_side.py FOLDER

It runs in an environment that has mindspore and mindcv. FOLDER holds
`weights.ckpt`, `images.npy`, float32 [B, C, S, S], and `asked.json`: the
network, its classes, what the file is to say of itself, and how often to run
it for its time. `network.mindir`, `logits.npy`, what that file makes of the
images, and `seconds.json` are written into it.
"""

import importlib
import json
import os
import sys
import time
import traceback


def main(folder: str) -> None:
  """Loads every weight, exports, loads what is written, runs it."""
  import mindspore as ms
  import numpy as np

  inside = lambda name: os.path.join(folder, name)
  with open(inside('asked.json')) as file:
    asked = json.load(file)
  images = np.load(inside('images.npy'))
  ms.set_device('CPU')
  _, *shape = images.shape
  net = _network(asked['network'], asked['num_classes'], shape[0])
  tensors = ms.load_checkpoint(inside('weights.ckpt'))
  left = ms.load_param_into_net(net, tensors, strict_load=True)
  if left != ([], []):
    raise ValueError(f'not in the file, and not in the network: {left}')
  net.set_train(False)

  def sign(model):
    model.user_info[asked['key']] = asked['says']

  path = inside('network.mindir')
  ms.export(
    net,
    ms.Tensor(shape=[None, *shape], dtype=ms.float32),
    file_name=path,
    file_format='MINDIR',
    custom_func=sign,
  )
  _check_signed(path, asked)
  graph = ms.nn.GraphCell(ms.load(path))
  # Two batches, of which one is larger: any will do.
  logits = [graph(ms.Tensor(x)).asnumpy() for x in (images[:1], images[1:])]
  np.save(inside('logits.npy'), np.concatenate(logits))
  classify = lambda: graph(ms.Tensor(images)).asnumpy()
  with open(inside('seconds.json'), 'w') as file:
    json.dump(_seconds(classify, asked['rounds']), file)


def _seconds(classify, rounds: int) -> list[float]:
  if rounds:
    classify()  # compiles
  found = []
  for _ in range(rounds):
    begin = time.perf_counter()
    classify()
    found.append(time.perf_counter() - begin)
  return found


def _network(name: str, num_classes: int, channels: int):
  """MindCV's, without the auxiliary head that its `create_model` adds to v3."""
  module = importlib.import_module(f'mindcv.models.{name.replace("_", "")}')
  arguments = {'num_classes': num_classes, 'in_channels': channels}
  if name == 'inception_v3':
    return module.InceptionV3(**arguments, aux_logits=False)
  return module.InceptionV4(**arguments)


def _check_signed(path: str, asked: dict) -> None:
  from mindspore.train.mind_ir_pb2 import ModelProto

  with open(path, 'rb') as file:
    found = ModelProto.FromString(file.read()).user_info[asked['key']]
  if found != asked['says']:
    raise ValueError(f'{path} does not say what it should: {found!r}')


if __name__ == '__main__':
  status = 0
  try:
    main(*sys.argv[1:])
  except Exception:
    traceback.print_exc()
    status = 1
  sys.stderr.flush()
  # Not sys.exit: at a program's end each of mindspore's cells complains once.
  os._exit(status)
