"""What the users of PyTorch have: weights, and an evaluation.

  python tests/parity/torch_users.py --network=NAME --images=PATH \
      --weights=FILE.pth --out=FILE.json [--clone=DIR]

Saves weights whose BatchNorm knows the statistics of real images, and writes
the number of the predicted class of each image. It runs in .venv-torch, without
JAX. NAME is inception_v3 of torchvision, of the class folders PATH, or
cifar_inception_v3 of a clone of pytorch-cifar100, of the test batch PATH.
"""

import argparse
import json
import pathlib
import pickle
import sys

import torch
import torchvision
from torchvision import transforms

SIZE, BATCH = 299, 20


def photographs(folder: str) -> list[torch.Tensor]:
  """Returns batches, prepared by the transforms of torchvision's weights."""
  weights = torchvision.models.Inception_V3_Weights.IMAGENET1K_V1
  data = torchvision.datasets.ImageFolder(folder, weights.transforms())
  return [images for images, _ in torch.utils.data.DataLoader(data, BATCH)]


def cifar(path: str) -> list[torch.Tensor]:
  """Returns batches, normalized as by pytorch-cifar100's test.py."""
  with open(path, 'rb') as file:
    images = pickle.load(file, encoding='bytes')[b'data']
  pixels = torch.from_numpy(images.reshape(-1, 3, 32, 32)).float() / 255
  normalize = transforms.Normalize(
    (0.5070751592371323, 0.48654887331495095, 0.4409178433670343),
    (0.2673342858792401, 0.2564384629170883, 0.27615047132568404),
  )
  return list(normalize(pixels).split(BATCH))


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  for name in ('network', 'images', 'weights', 'out'):
    parser.add_argument(f'--{name}', required=True)
  parser.add_argument('--clone', default='', help='of pytorch-cifar100')
  args = parser.parse_args()
  torch.manual_seed(0)
  if args.network == 'inception_v3':
    # Its inputs are those of the weights that it has published.
    model = torchvision.models.inception_v3(
      weights=None, init_weights=True, transform_input=True
    )
    batches = photographs(args.images)
  else:
    sys.path.insert(0, args.clone)
    from models import inceptionv3

    model = inceptionv3.InceptionV3(num_classes=10)
    batches = cifar(args.images)
  with torch.no_grad():
    for layer in model.modules():
      if isinstance(layer, torch.nn.BatchNorm2d):
        layer.momentum = 0.5  # of the new statistics
    model.train()
    for images in batches[:5]:
      model(images)
    torch.save(model.state_dict(), args.weights)
    model.eval()
    found = [x for images in batches for x in model(images).argmax(1).tolist()]
  pathlib.Path(args.out).write_text(json.dumps(found))


if __name__ == '__main__':
  main()
