"""The other side of `tools.benchmark --what=step`: a network in PyTorch.

python timm_step.py NETWORK BATCH SIZE CLASSES AUX PRECISION COMPILED

NETWORK is a name that timm knows, or FILE.py:FUNCTION, a function of a file
that makes one. It runs in an environment that has torch and timm, on the GPU
where there is one; prints a line of JSON, the versions, and then, for each line
`train STEPS` or `inference STEPS` that it reads, the seconds these took.

As whoever cares for speed would have it: channels_last, autocast, images that
are already normalised and on the device, RMSProp over all parameters at once.
"""

import contextlib
import importlib.util
import json
import sys
import time


def _make(network: str, classes: int, aux: bool):
  if ':' in network:
    path, _, function = network.rpartition(':')
    spec = importlib.util.spec_from_file_location('theirs', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, function)()
  import timm

  kwargs = {'aux_logits': True} if aux else {}
  return timm.create_model(network, num_classes=classes, **kwargs)


class Side:
  """A network, a batch, and the steps over them."""

  def __init__(self, network, batch, size, classes, aux, precision, compiled):
    import torch

    self._torch = torch
    self._gpu = torch.cuda.is_available()
    self._device = 'cuda' if self._gpu else 'cpu'
    # What timm's own train.py sets: the best algorithm for each convolution.
    torch.backends.cudnn.benchmark = True
    last = torch.channels_last
    network = _make(network, classes, aux).to(self._device, memory_format=last)
    images = torch.randn(batch, 3, size, size, device=self._device)
    self._images = images.contiguous(memory_format=last)
    self._labels = torch.randint(classes, (batch,), device=self._device)
    self._network = torch.compile(network) if compiled else network
    self._loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    self._optimizer = torch.optim.RMSprop(
      network.parameters(), lr=1e-4, alpha=0.9, momentum=0.9, foreach=True
    )
    tf32 = precision == 'tensorfloat32'
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    self._dtype = torch.float32 if tf32 else getattr(torch, precision)
    scaled = self._dtype == torch.float16
    self._scaler = torch.amp.GradScaler(self._device, enabled=scaled)

  def _autocast(self):
    if self._dtype == self._torch.float32:
      return contextlib.nullcontext()
    return self._torch.autocast(self._device, self._dtype)

  def train(self):
    """One step."""
    self._network.train()
    self._optimizer.zero_grad(set_to_none=True)
    with self._autocast():
      logits = self._network(self._images)
      if isinstance(logits, tuple):
        logits, aux = logits
        loss = self._loss(logits, self._labels)
        loss += 0.4 * self._loss(aux, self._labels)
      else:
        loss = self._loss(logits, self._labels)
    self._scaler.scale(loss).backward()
    self._scaler.step(self._optimizer)
    self._scaler.update()

  def inference(self):
    """One batch."""
    self._network.eval()
    with self._torch.inference_mode(), self._autocast():
      self._network(self._images)

  def seconds(self, what: str, steps: int) -> float:
    """How long so many take, to the last of them."""
    begin = time.perf_counter()
    for _ in range(steps):
      getattr(self, what)()
    if self._gpu:
      self._torch.cuda.synchronize()
    return time.perf_counter() - begin


def main(network, batch, size, classes, aux, precision, compiled):
  """Answers until there are no more lines."""
  side = Side(
    network,
    int(batch),
    int(size),
    int(classes),
    bool(int(aux)),
    precision,
    bool(int(compiled)),
  )
  versions = {
    name: sys.modules[name].__version__
    for name in ('torch', 'timm')
    if name in sys.modules
  }
  print(json.dumps(versions), flush=True)
  for line in sys.stdin:
    what, steps = line.split()
    print(json.dumps(side.seconds(what, int(steps))), flush=True)


if __name__ == '__main__':
  main(*sys.argv[1:])
