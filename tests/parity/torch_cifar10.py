"""Trains the first epochs of a run in PyTorch, for cifar10.py.

  python tests/parity/torch_cifar10.py SETTINGS.json

Starts from our first weights, with torchvision's transforms and an order of its
own. Prints a line of JSON: 'top1', 'loss' and 'count' of the test images,
'images_per_sec' of the training, 'difference' of the first logits, relative to
the largest. The settings are those of `cifar10.settings_of`.
"""

import json
import sys
import time

import numpy as np
import torch
import torchvision
from torchvision import transforms

from inception_jax.models.architectures import ARCHITECTURES
from tests.parity import torch_tables

_LOG_EVERY = 39  # steps
_LAYOUT = {'memory_format': torch.channels_last}


def _network(settings: dict):
  """Returns the network with our weights, and its error on our first logits."""
  architecture = ARCHITECTURES[settings['name']]
  model = torch_tables.Network(
    architecture.stems[settings['stem']] + architecture.body,
    settings['num_classes'],
    settings['dropout'],
    width=settings['width'],
    epsilon=settings['epsilon'],
    momentum=settings['bn_momentum'],
    counted=settings['counted'],
  )
  with np.load(settings['weights']) as npz:
    arrays = dict(npz)
  images, logits = (torch.from_numpy(arrays.pop(k)) for k in ('x', 'logits'))
  missing, unexpected = model.load_state_dict(
    torch_tables.state_dict(arrays), strict=False
  )
  missing = [n for n in missing if not n.endswith('num_batches_tracked')]
  assert not missing and not unexpected, (missing, unexpected)
  with torch.no_grad():
    ours = model.eval()(images.permute(0, 3, 1, 2))
  error = (ours - logits).abs().max() / logits.abs().max()
  return model.to(**_LAYOUT), float(error)


def _images(split: str, settings: dict, augment: bool):
  steps = [
    transforms.ToTensor(),
    transforms.Normalize(
      [m / 255 for m in settings['mean']], [s / 255 for s in settings['std']]
    ),
  ]
  random = [
    transforms.RandomCrop(settings['size'], padding=settings['pad']),
    transforms.RandomHorizontalFlip(),
  ]
  return torchvision.datasets.ImageFolder(
    f'{settings["dir"]}/{split}', transforms.Compose(random * augment + steps)
  )


def _train(model, settings: dict) -> float:
  """Trains; returns the images a second."""
  kernels = [p for p in model.parameters() if p.ndim > 1]
  others = [p for p in model.parameters() if p.ndim <= 1]
  optimizer = torch.optim.SGD(
    [
      {'params': kernels, 'weight_decay': settings['weight_decay']},
      {'params': others, 'weight_decay': 0.0},
    ],
    lr=1.0,
    momentum=settings['momentum'],
    nesterov=settings['nesterov'],
  )
  loader = torch.utils.data.DataLoader(
    _images('train', settings, True),
    settings['batch_size'],
    shuffle=True,
    drop_last=True,
    num_workers=1,
  )
  loss_of = torch.nn.CrossEntropyLoss(
    label_smoothing=settings['label_smoothing']
  )
  batches = (batch for _ in range(settings['epochs']) for batch in loader)
  rates = settings['rates']
  model.train()
  begin = time.monotonic()
  for step, (rate, (pixels, labels)) in enumerate(
    zip(rates, batches, strict=False), 1
  ):
    for group in optimizer.param_groups:
      group['lr'] = rate
    optimizer.zero_grad()
    loss = loss_of(model(pixels.contiguous(**_LAYOUT)), labels)
    loss.backward()
    optimizer.step()
    if step % _LOG_EVERY == 0:
      left = (time.monotonic() - begin) / step * (len(rates) - step)
      print(
        f'step {step} of {len(rates)}, loss {loss.item():.4f}, '
        f'{left / 60:.0f} min left',
        file=sys.stderr,
        flush=True,
      )
  assert step == len(rates)
  seconds = time.monotonic() - begin
  return step * settings['batch_size'] / seconds


@torch.no_grad()
def _evaluate(model, settings: dict) -> dict:
  loss_of = torch.nn.CrossEntropyLoss(reduction='sum')
  images = _images(settings['eval_split'], settings, False)
  model.eval()
  loss, hits = 0.0, 0
  for pixels, labels in torch.utils.data.DataLoader(images, 250):
    logits = model(pixels.contiguous(**_LAYOUT))
    loss += loss_of(logits, labels).item()
    hits += (logits.argmax(1) == labels).sum().item()
  count = len(images)
  return {'loss': loss / count, 'top1': hits / count, 'count': count}


def main(path: str) -> None:
  with open(path) as file:
    settings = json.load(file)
  torch.manual_seed(settings['seed'])
  model, difference = _network(settings)
  speed = _train(model, settings)
  scores = _evaluate(model, settings)
  result = {'images_per_sec': speed, 'difference': difference}
  print(json.dumps({**scores, **result}))


if __name__ == '__main__':
  main(sys.argv[1])
