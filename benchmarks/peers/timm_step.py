"""Peer of `benchmarks.run --what=step`: a network in PyTorch.

python timm_step.py NETWORK BATCH SIZE CLASSES AUX PRECISION COMPILED

NETWORK is a timm model name, or FILE.py:FUNCTION, a function that creates a
network. Runs in an environment with torch and timm, on a GPU if there is one.
Prints the versions as a line of JSON; then reads lines `train STEPS` or
`inference STEPS`, and prints the seconds that these steps took.

Tuned for speed: channels_last, autocast, images that are already normalised and
on the device, RMSProp with `foreach`.
"""

import contextlib
import importlib.util
import json
import sys
import time


def _create(network: str, classes: int, aux: bool):
  if ':' in network:
    path, _, function = network.rpartition(':')
    spec = importlib.util.spec_from_file_location('peer', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, function)()
  import timm

  kwargs = {'aux_logits': True} if aux else {}
  return timm.create_model(network, num_classes=classes, **kwargs)


class Peer:
  """Runs training and inference steps of a network on one batch."""

  def __init__(self, network, batch, size, classes, aux, precision, compiled):
    import torch

    self._torch = torch
    self._gpu = torch.cuda.is_available()
    self._device = 'cuda' if self._gpu else 'cpu'
    # As in timm's train.py: selects the fastest algorithm per convolution.
    torch.backends.cudnn.benchmark = True
    layout = torch.channels_last
    network = _create(network, classes, aux)
    network = network.to(self._device, memory_format=layout)
    images = torch.randn(batch, 3, size, size, device=self._device)
    self._images = images.contiguous(memory_format=layout)
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
    """Runs one step."""
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
    """Runs the forward pass on the batch."""
    self._network.eval()
    with self._torch.inference_mode(), self._autocast():
      self._network(self._images)

  def seconds(self, what: str, steps: int) -> float:
    """Returns the seconds until the last of the steps is complete."""
    begin = time.perf_counter()
    for _ in range(steps):
      getattr(self, what)()
    if self._gpu:
      self._torch.cuda.synchronize()
    return time.perf_counter() - begin


def main(network, batch, size, classes, aux, precision, compiled):
  """Answers requests until the end of stdin."""
  peer = Peer(
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
    print(json.dumps(peer.seconds(what, int(steps))), flush=True)


if __name__ == '__main__':
  main(*sys.argv[1:])
