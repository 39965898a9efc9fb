"""Peer of `benchmarks.run --what=step`: a network in PyTorch.

python timm_step.py NETWORK BATCH SIZE CLASSES AUX PRECISION COMPILE

NETWORK is a timm model name, or FILE.py:FUNCTION, a function that creates a
network; COMPILE a mode of torch.compile, or off. Runs in an environment with
torch and timm, on a GPU if there is one.
Prints the versions as a line of JSON; then reads lines `train STEPS` or
`inference STEPS`, and prints the seconds that these steps took.

Tuned for speed: channels_last, autocast, images that are already normalized and
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


def _steps(network, batch, size, classes, aux, precision, mode):
  """Returns {'train', 'inference'}: functions that run one step on a batch."""
  import torch

  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  # As in timm's train.py: selects the fastest algorithm per convolution.
  torch.backends.cudnn.benchmark = True
  layout = torch.channels_last
  network = _create(network, classes, aux)
  network = network.to(device, memory_format=layout)
  images = torch.randn(batch, 3, size, size, device=device)
  images = images.contiguous(memory_format=layout)
  labels = torch.randint(classes, (batch,), device=device)
  loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
  optimizer = torch.optim.RMSprop(
    network.parameters(), lr=1e-4, alpha=0.9, momentum=0.9, foreach=True
  )
  if mode != 'off':
    network = torch.compile(network, mode=mode)
  tf32 = precision == 'tensorfloat32'
  torch.backends.cudnn.allow_tf32 = tf32
  torch.backends.cuda.matmul.allow_tf32 = tf32
  dtype = torch.float32 if tf32 else getattr(torch, precision)
  scaler = torch.amp.GradScaler(device, enabled=dtype == torch.float16)

  def autocast():
    if dtype == torch.float32:
      return contextlib.nullcontext()
    return torch.autocast(device, dtype)

  def train():
    network.train()
    optimizer.zero_grad(set_to_none=True)
    with autocast():
      logits = network(images)
      if isinstance(logits, tuple):
        logits, aux_logits = logits
        loss = loss_of(logits, labels)
        loss += 0.4 * loss_of(aux_logits, labels)
      else:
        loss = loss_of(logits, labels)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()

  def inference():
    network.eval()
    with torch.inference_mode(), autocast():
      network(images)

  return {'train': train, 'inference': inference}


def main(network, batch, size, classes, aux, precision, mode):
  """Answers requests until the end of stdin."""
  numbers = map(int, (batch, size, classes, aux))
  steps = _steps(network, *numbers, precision, mode)
  torch = sys.modules['torch']
  versions = {
    name: sys.modules[name].__version__
    for name in ('torch', 'timm')
    if name in sys.modules
  }
  print(json.dumps(versions), flush=True)
  for line in sys.stdin:
    what, number = line.split()
    begin = time.perf_counter()
    for _ in range(int(number)):
      steps[what]()
    if torch.cuda.is_available():
      torch.cuda.synchronize()
    print(json.dumps(time.perf_counter() - begin), flush=True)


if __name__ == '__main__':
  main(*sys.argv[1:])
