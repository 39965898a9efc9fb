"""Peer of `benchmarks.run --what=step`: a network of MindCV.

python mindcv_step.py NETWORK BATCH SIZE CLASSES AUX

Runs on the CPU, in an environment with mindspore and mindcv, and follows the
protocol of timm_step.py. As in MindCV's train.py: graph mode, its loss with
label smoothing and the weighted auxiliary loss, its RMSProp.
"""

import importlib
import json
import os
import sys
import time


def _steps(name, batch, size, classes, aux):
  """Returns {'train', 'inference'}: functions that run one step on a batch."""
  import mindcv.loss
  import mindcv.optim
  import mindspore as ms
  import numpy as np

  ms.set_context(mode=ms.GRAPH_MODE)
  ms.set_device('CPU')
  module = importlib.import_module(f'mindcv.models.{name.replace("_", "")}')
  # MindCV's `create_model` would always add v3's auxiliary head.
  create = getattr(module, name.title().replace('_', ''))
  kwargs = {'aux_logits': aux} if name == 'inception_v3' else {}
  network = create(num_classes=classes, **kwargs)
  random = np.random.default_rng(0)
  images = random.standard_normal((batch, 3, size, size), dtype=np.float32)
  images = ms.Tensor(images)
  labels = ms.Tensor(random.integers(classes, size=batch), ms.int32)
  loss = mindcv.loss.create_loss(name='CE', label_smoothing=0.1, aux_factor=0.4)
  optimizer = mindcv.optim.create_optimizer(
    network.trainable_params(), opt='rmsprop', lr=1e-4, momentum=0.9
  )
  step = ms.nn.TrainOneStepCell(ms.nn.WithLossCell(network, loss), optimizer)

  def train():
    step.set_train(True)
    return step(images, labels)

  def inference():
    network.set_train(False)
    return network(images)

  return {'train': train, 'inference': inference}


def main(name, batch, size, classes, aux):
  """Answers requests until the end of stdin."""
  steps = _steps(name, int(batch), int(size), int(classes), bool(int(aux)))
  versions = {
    module: sys.modules[module].__version__
    for module in ('mindspore', 'mindcv')
  }
  isa = 'ONEDNN_MAX_CPU_ISA'
  versions[isa] = os.environ.get(isa, '')
  print(json.dumps(versions), flush=True)
  for line in sys.stdin:
    what, number = line.split()
    begin = time.perf_counter()
    for _ in range(int(number)):
      last = steps[what]()
    last.asnumpy()
    print(json.dumps(time.perf_counter() - begin), flush=True)


if __name__ == '__main__':
  main(*sys.argv[1:])
