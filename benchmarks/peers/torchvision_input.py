"""The other side of `tools.benchmark --what=input`: torchvision's DataLoader.

python torchvision_input.py FOLDER SIZE BATCH BATCHES

It runs in an environment that has torch and torchvision, with two workers and
PIL, the transforms of torchvision's own ImageNet recipe, and prints a line of
JSON: images per second in float32, normalised, and as uint8 without that.
"""

import json
import sys
import time


def main(folder: str, size: int, batch: int, batches: int) -> None:
  """Measures both ends of the transforms, warm."""
  import torch
  import torchvision
  from torchvision import transforms

  crop = [
    transforms.RandomResizedCrop(size),
    transforms.RandomHorizontalFlip(),
  ]
  ends = {
    'float32': [
      transforms.ToTensor(),
      transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ],
    'uint8': [transforms.PILToTensor()],
  }
  result = {}
  for name, end in ends.items():
    transform = transforms.Compose(crop + end)
    images = torchvision.datasets.ImageFolder(folder, transform)
    # Long enough that its workers never start an epoch in between.
    passes = -(-batch * (batches + 4) // len(images))
    images = torch.utils.data.ConcatDataset([images] * passes)
    loader = torch.utils.data.DataLoader(
      images, batch, shuffle=True, num_workers=2, drop_last=True
    )
    stream = iter(loader)
    for _ in range(2):
      next(stream)
    started = time.perf_counter()
    for _ in range(batches):
      next(stream)
    result[name] = batches * batch / (time.perf_counter() - started)
  versions = {m.__name__: m.__version__ for m in (torch, torchvision)}
  print(json.dumps(result | {'versions': versions}))


if __name__ == '__main__':
  main(sys.argv[1], *map(int, sys.argv[2:]))
