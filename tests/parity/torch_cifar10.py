"""Trains the first epochs of a run in PyTorch, for cifar10.py.

  python tests/parity/torch_cifar10.py SETTINGS.json

Starts from our first weights, with torchvision's transforms and an order of its
own. Prints a line of JSON: 'top1', 'loss' and 'count' of the test images,
'images_per_sec' of the training, 'difference' of the first logits, relative to
the largest. The settings are those of `cifar10.settings_of`.
"""

import json
import sys

import numpy as np
import torch

from inception_jax.models.architectures import ARCHITECTURES
from tests.parity import torch_learning
from tests.parity import torch_tables


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
  return model.to(memory_format=torch.channels_last), float(error)


def main(path: str) -> None:
  with open(path) as file:
    settings = json.load(file)
  torch.manual_seed(settings['seed'])
  model, difference = _network(settings)
  speed = torch_learning.train(
    model, torch_learning.images('train', settings, True), settings
  )
  scores = torch_learning.evaluate(
    model, torch_learning.images(settings['eval_split'], settings, False)
  )
  result = {'images_per_sec': speed, 'difference': difference}
  print(json.dumps({**scores, **result}))


if __name__ == '__main__':
  main(sys.argv[1])
