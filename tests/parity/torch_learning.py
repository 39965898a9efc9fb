"""Trains in PyTorch, for learning.py.

  python tests/parity/torch_learning.py SETTINGS.json

Trains cifar_inception_v3 of weiaicunzai/pytorch-cifar100 from PyTorch's initial
weights with torchvision's transforms, and prints a line of JSON: 'top1',
'loss', 'count'. The settings are those of `learning.settings_of`.
"""

import itertools
import json
import sys
import time

import torch
import torchvision
from torchvision import transforms

LOG_EVERY = 50  # steps


def images(folder, settings, augment):
  """Returns the images of a folder, normalized, augmented on request."""
  normalize = [
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
    f'{settings["dir"]}/{folder}',
    transforms.Compose(random * augment + normalize),
  )


def train(model, images, settings) -> float:
  """Trains a step for each of `settings.rates`; returns the images a second."""
  kernels = [p for p in model.parameters() if p.ndim > 1]
  others = [p for p in model.parameters() if p.ndim <= 1]
  optimizer = torch.optim.SGD(
    [
      {'params': kernels, 'weight_decay': settings['weight_decay']},
      {'params': others, 'weight_decay': 0.0},
    ],
    lr=0.0,
    momentum=settings['momentum'],
    nesterov=settings['nesterov'],
  )
  loader = torch.utils.data.DataLoader(
    images,
    settings['batch_size'],
    shuffle=True,
    drop_last=True,
    num_workers=settings['workers'],
  )
  batches = itertools.chain.from_iterable(itertools.repeat(loader))
  loss_of = torch.nn.CrossEntropyLoss(
    label_smoothing=settings['label_smoothing']
  )
  model.train()
  begin = time.monotonic()
  for step, rate in enumerate(settings['rates'], 1):
    pixels, labels = next(batches)
    for group in optimizer.param_groups:
      group['lr'] = rate
    optimizer.zero_grad()
    loss = loss_of(
      model(pixels.contiguous(memory_format=torch.channels_last)), labels
    )
    loss.backward()
    optimizer.step()
    if step % LOG_EVERY == 0:
      left = (time.monotonic() - begin) / step * (len(settings['rates']) - step)
      print(
        f'step {step} of {len(settings["rates"])}, loss {loss.item():.4f}, '
        f'{left / 60:.0f} min left',
        file=sys.stderr,
        flush=True,
      )
  seconds = time.monotonic() - begin
  return len(settings['rates']) * settings['batch_size'] / seconds


@torch.no_grad()
def evaluate(model, images) -> dict:
  """Returns 'loss', 'top1' and 'count' of all images."""
  loss_of = torch.nn.CrossEntropyLoss(reduction='sum')
  model.eval()
  sums = {'loss': 0.0, 'top1': 0, 'count': 0}
  for pixels, labels in torch.utils.data.DataLoader(images, 100):
    logits = model(pixels.contiguous(memory_format=torch.channels_last))
    sums['loss'] += loss_of(logits, labels).item()
    sums['top1'] += (logits.argmax(1) == labels).sum().item()
    sums['count'] += len(labels)
  assert sums['count'] == len(images)
  count = sums['count']
  return {
    'loss': sums['loss'] / count,
    'top1': sums['top1'] / count,
    'count': count,
  }


def main(path: str) -> None:
  with open(path) as file:
    settings = json.load(file)
  sys.path.insert(0, settings['clone'])
  from models.inceptionv3 import InceptionV3

  torch.manual_seed(settings['seed'])
  examples = images('train', settings, augment=True)
  model = InceptionV3(num_classes=len(examples.classes))
  model = model.to(memory_format=torch.channels_last)
  train(model, examples, settings)
  val = images('val', settings, augment=False)
  print(json.dumps(evaluate(model, val)))


if __name__ == '__main__':
  main(sys.argv[1])
