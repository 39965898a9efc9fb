"""The other side of `tools.benchmark --what=step`: a network of MindCV.

python mindcv_step.py NETWORK BATCH SIZE CLASSES AUX

It runs in an environment that has mindspore and mindcv, on the CPU, and
answers as timm_step.py does. As MindCV's train.py has it: graphs in place of
operations one by one, its loss with label smoothing and the auxiliary head's
share, its RMSProp.
"""

import importlib
import json
import os
import sys
import time


class Side:
  """A network, a batch, and the steps over them."""

  def __init__(self, name, batch, size, classes, aux):
    import mindcv.loss
    import mindcv.optim
    import mindspore as ms
    import numpy as np

    ms.set_context(mode=ms.GRAPH_MODE)
    ms.set_device('CPU')
    module = importlib.import_module(f'mindcv.models.{name.replace("_", "")}')
    # Not its `create_model`, which always adds v3's auxiliary head.
    make = getattr(module, name.title().replace('_', ''))
    more = {'aux_logits': aux} if name == 'inception_v3' else {}
    self._network = make(num_classes=classes, **more)
    random = np.random.default_rng(0)
    images = random.standard_normal((batch, 3, size, size), dtype=np.float32)
    self._images = ms.Tensor(images)
    self._labels = ms.Tensor(random.integers(classes, size=batch), ms.int32)
    loss = mindcv.loss.create_loss(
      name='CE', label_smoothing=0.1, aux_factor=0.4
    )
    optimizer = mindcv.optim.create_optimizer(
      self._network.trainable_params(), opt='rmsprop', lr=1e-4, momentum=0.9
    )
    self._step = ms.nn.TrainOneStepCell(
      ms.nn.WithLossCell(self._network, loss), optimizer
    )

  def train(self):
    """One step; its loss."""
    self._step.set_train(True)
    return self._step(self._images, self._labels)

  def inference(self):
    """One batch; its logits."""
    self._network.set_train(False)
    return self._network(self._images)

  def seconds(self, what: str, steps: int) -> float:
    """How long so many take, to the last of them."""
    begin = time.perf_counter()
    for _ in range(steps):
      last = getattr(self, what)()
    last.asnumpy()
    return time.perf_counter() - begin


def main(name, batch, size, classes, aux):
  """Answers until there are no more lines."""
  side = Side(name, int(batch), int(size), int(classes), bool(int(aux)))
  versions = {
    module: sys.modules[module].__version__
    for module in ('mindspore', 'mindcv')
  }
  isa = 'ONEDNN_MAX_CPU_ISA'
  versions[isa] = os.environ.get(isa, '')
  print(json.dumps(versions), flush=True)
  for line in sys.stdin:
    what, steps = line.split()
    print(json.dumps(side.seconds(what, int(steps))), flush=True)


if __name__ == '__main__':
  main(*sys.argv[1:])
