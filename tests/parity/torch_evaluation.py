"""The other side of evaluation.py: a library's own evaluation.

  python tests/parity/torch_evaluation.py LIBRARY NETWORK DATA WEIGHTS

A network of torchvision's or timm's as it begins, whose BatchNorm has seen the
images of DATA/train and whose head was fitted to them (logistic regression),
so that it is right more often than not. It is saved as WEIGHTS and evaluated
on DATA/val with the library's own preprocessing. Prints a line of JSON: 'top1',
'top5', 'loss', 'count', and 'guesses', the best of each image by its name.
"""

import json
import os
import sys

import numpy as np
from sklearn import linear_model
import torch
import torchvision

BATCH = 20


def _torchvision(network, classes):
  # What its published weights come with.
  model = torchvision.models.get_model(
    network, num_classes=classes, transform_input=True, init_weights=True
  )
  weights = torchvision.models.get_model_weights(network).DEFAULT
  save = lambda path: torch.save(model.state_dict(), path)
  return model, weights.transforms(), model.fc, save


def _timm(network, classes):
  import safetensors.torch
  import timm

  model = timm.create_model(network, num_classes=classes)
  data = timm.data.resolve_model_data_config(model)
  transform = timm.data.create_transform(**data, is_training=False)
  save = lambda path: safetensors.torch.save_file(model.state_dict(), path)
  return model, transform, model.get_classifier(), save


def _batches(folder, transform):
  images = torchvision.datasets.ImageFolder(folder, transform)
  loader = torch.utils.data.DataLoader(images, BATCH)
  for i, batch in enumerate(loader, 1):
    print(f'{folder}: {i} of {len(loader)}', file=sys.stderr, flush=True)
    yield batch


def _fit(model, head, folder, transform):
  """Statistics, then the head on what it is given."""
  norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
  for norm in norms:
    norm.momentum = None  # the mean of all batches
    norm.reset_running_stats()
  model.eval()
  for norm in norms:
    norm.train()
  batches = list(_batches(folder, transform))
  with torch.no_grad():
    for images, _ in batches[::2]:
      model(images)
    model.eval()
    features, labels = [], []
    hook = head.register_forward_pre_hook(
      lambda module, given: features.append(given[0].clone())
    )
    for images, own in batches:
      model(images)
      labels.append(own)
    hook.remove()
    x, y = torch.cat(features).numpy(), torch.cat(labels).numpy()
    # One scale for all: features that hardly vary would be all noise.
    mean = x.mean(axis=0)
    deviation = (x - mean).std()
    found = linear_model.LogisticRegression(max_iter=5000)
    found.fit((x - mean) / deviation, y)
    kernel = found.coef_ / deviation
    head.weight.copy_(torch.from_numpy(kernel))
    head.bias.copy_(torch.from_numpy(found.intercept_ - kernel @ mean))


def main(library, network, data, weights):
  torch.manual_seed(0)
  classes = len(os.listdir(f'{data}/train'))
  make = {'torchvision': _torchvision, 'timm': _timm}[library]
  model, transform, head, save = make(network, classes)
  _fit(model, head, f'{data}/train', transform)
  save(weights)
  logits, labels = [], []
  with torch.no_grad():
    for images, own in _batches(f'{data}/val', transform):
      logits.append(model(images))
      labels.append(own)
  logits, labels = torch.cat(logits), torch.cat(labels)
  best = logits.topk(5).indices
  right = best == labels[:, None]
  loss = torch.nn.functional.cross_entropy(logits.double(), labels)
  folder = torchvision.datasets.ImageFolder(f'{data}/val')
  paths = [path for path, _ in folder.imgs]
  result = {
    'top1': right[:, 0].double().mean().item(),
    'top5': right.any(dim=1).double().mean().item(),
    'loss': loss.item(),
    'count': len(labels),
    'guesses': {
      os.path.basename(path): int(guess)
      for path, guess in zip(paths, np.asarray(best[:, 0]), strict=True)
    },
  }
  print(json.dumps(result))


if __name__ == '__main__':
  main(*sys.argv[1:])
