"""Peer of `benchmarks.run --what=input`: torchvision with a DataLoader.

python torchvision_input.py FOLDER SIZE BATCH BATCHES

Runs in an environment with torch and torchvision, with two workers, PIL and the
transforms of torchvision's ImageNet recipe. Prints a line of JSON: images per
second as normalized float32, and as uint8 without normalization.
"""

import json
import sys
import time


def main(folder: str, size: int, batch: int, batches: int) -> None:
  """Measures both output types after a warm-up."""
  import torch
  import torchvision
  from torchvision import transforms

  crop = [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip()]
  outputs = {
    'float32': [
      transforms.ToTensor(),
      transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ],
    'uint8': [transforms.PILToTensor()],
  }
  result = {}
  for name, convert in outputs.items():
    transform = transforms.Compose(crop + convert)
    images = torchvision.datasets.ImageFolder(folder, transform)
    # Long enough that the workers never start another epoch.
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
