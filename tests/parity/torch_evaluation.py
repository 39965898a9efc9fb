"""Evaluates a network as torchvision or timm does, for evaluation.py.

  python tests/parity/torch_evaluation.py LIBRARY NETWORK DATA WEIGHTS

The network has initial weights, BatchNorm statistics of the images of
DATA/train, and a head fitted to them by logistic regression, so that most
predictions are correct. It is saved as WEIGHTS and evaluated on DATA/val with
the library's own preprocessing. Prints a line of JSON: 'top1', 'top5', 'loss',
'count', and 'predictions', the most probable class by image name.
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
  # As for its published weights.
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
  """Computes the BatchNorm statistics, then fits the head to the features."""
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
      lambda module, inputs: features.append(inputs[0].clone())
    )
    for images, batch_labels in batches:
      model(images)
      labels.append(batch_labels)
    hook.remove()
    x, y = torch.cat(features).numpy(), torch.cat(labels).numpy()
    # One scale for all features, since some hardly vary.
    mean = x.mean(axis=0)
    deviation = (x - mean).std()
    regression = linear_model.LogisticRegression(max_iter=5000)
    regression.fit((x - mean) / deviation, y)
    kernel = regression.coef_ / deviation
    head.weight.copy_(torch.from_numpy(kernel))
    head.bias.copy_(torch.from_numpy(regression.intercept_ - kernel @ mean))


def main(library, network, data, weights):
  torch.manual_seed(0)
  classes = len(os.listdir(f'{data}/train'))
  make = {'torchvision': _torchvision, 'timm': _timm}[library]
  model, transform, head, save = make(network, classes)
  _fit(model, head, f'{data}/train', transform)
  save(weights)
  logits, labels = [], []
  with torch.no_grad():
    for images, batch_labels in _batches(f'{data}/val', transform):
      logits.append(model(images))
      labels.append(batch_labels)
  logits, labels = torch.cat(logits), torch.cat(labels)
  best = logits.topk(5).indices
  correct = best == labels[:, None]
  loss = torch.nn.functional.cross_entropy(logits.double(), labels)
  folder = torchvision.datasets.ImageFolder(f'{data}/val')
  paths = [path for path, _ in folder.imgs]
  result = {
    'top1': correct[:, 0].double().mean().item(),
    'top5': correct.any(dim=1).double().mean().item(),
    'loss': loss.item(),
    'count': len(labels),
    'predictions': {
      os.path.basename(path): int(prediction)
      for path, prediction in zip(paths, np.asarray(best[:, 0]), strict=True)
    },
  }
  print(json.dumps(result))


if __name__ == '__main__':
  main(*sys.argv[1:])
