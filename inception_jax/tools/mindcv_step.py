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

_ISA = 'ONEDNN_MAX_CPU_ISA'


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


def _no_slower_than_need_be():
  """Starts anew with AVX2 where oneDNN has no 3×3 kernel for more.

  That of mindspore 2.10 takes its reference in place of one with the AVX-512 of
  some CPUs by AMD, which is a hundred times as slow.
  """
  if _ISA in os.environ:
    return
  import mindspore as ms

  ms.set_device('CPU')
  conv = ms.nn.Conv2d(64, 64, 3)
  images = ms.ops.ones((2, 64, 73, 73))
  conv(images).asnumpy()
  begin = time.perf_counter()
  conv(images).asnumpy()
  if time.perf_counter() - begin > 0.5:
    env = {**os.environ, _ISA: 'AVX2'}
    os.execve(sys.executable, [sys.executable, *sys.argv], env)


def main(name, batch, size, classes, aux):
  """Answers until there are no more lines."""
  _no_slower_than_need_be()
  side = Side(name, int(batch), int(size), int(classes), bool(int(aux)))
  versions = {
    module: sys.modules[module].__version__
    for module in ('mindspore', 'mindcv')
  }
  versions[_ISA] = os.environ.get(_ISA, '')
  print(json.dumps(versions), flush=True)
  for line in sys.stdin:
    what, steps = line.split()
    print(json.dumps(side.seconds(what, int(steps))), flush=True)


if __name__ == '__main__':
  main(*sys.argv[1:])
