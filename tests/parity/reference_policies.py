"""AutoAugment and RandAugment of another package, as they really are.

  python tests/parity/reference_policies.py --package=timm --image=FILE.npy \
      --out=FILE.npz

`--image` is uint8 [H, W, 3]. Writes `record`, JSON of policy →
  source: package, version, file and line.
  pairs: AutoAugment's (operation, probability, magnitude); null in RandAugment.
  levels: operation → the level at each magnitude from 0 on, in the units of
    `image_ops.apply`; the positive one where the sign is random.
  drawn: operation → draws per image, fraction of negative levels, and mean,
    standard deviation, minimum and maximum of their absolute values, over DRAWS
    images.
  images: rows (operation, magnitude, level, index into `images`).
and `images`, uint8 [n, H, W, 3], the operations' results. Inverting counts as
solarizing at 0. Runs without JAX in the environments of
tests/parity/requirements-*.txt; tests/parity/policies.py starts it.
"""

import argparse
import collections
import importlib.metadata
import inspect
import json
import os
import random
import sys

import numpy as np
from PIL import Image

sys.path.insert(0, os.path.dirname(__file__))

from policies_of import PACKAGES
from policies_of import PLAIN

DRAWS = 20_000


def statistics(package, transform, image) -> dict:
  """Returns what the docstring of the module calls `drawn`."""
  seen = collections.defaultdict(list)
  for _ in range(DRAWS):
    for name, level in package.sample(transform, image):
      seen['solarize' if name == 'invert' else name].append(level)
  found = {}
  for name, levels in sorted(seen.items()):
    levels = np.array(levels)
    size = np.abs(levels)
    numbers = (size.mean(), size.std(), size.min(), size.max())
    fractions = len(levels) / DRAWS, (levels < 0).mean()
    found[name] = [round(float(x), 5) for x in (*fractions, *numbers)]
  return found


def results(package, transform, count: int, image):
  """Returns what the module's docstring calls levels and images, as lists."""
  pairs = package.pairs(transform)
  used = {(name, m) for pair in pairs or () for name, _, m in pair}
  levels, rows, images = {}, [], []
  for name, arguments, run in package.operations(transform, count):
    magnitudes = range(1 if name in PLAIN else count)
    levels[name] = [arguments(m)[0][0] for m in magnitudes]
    for m in magnitudes:
      if not ((name, m) in used if pairs else name in PLAIN or m in (5, 9)):
        continue
      for level, argument in arguments(m):
        rows.append((name, m, level, len(images)))
        images.append(np.asarray(run(image, argument)))
  return levels, rows, images


def citation(name: str, function) -> str:
  """Returns package, version, file and line of a function."""
  code = inspect.unwrap(function).__code__
  file = code.co_filename
  file = file[file.rindex(f'/{name}/') + 1 :]
  version = importlib.metadata.version(name)
  return f'{name} {version} {file}:{code.co_firstlineno}'


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--package', choices=PACKAGES, required=True)
  parser.add_argument('--image', required=True)
  parser.add_argument('--out', required=True)
  args = parser.parse_args()
  pixels = np.load(args.image)
  package = PACKAGES[args.package](pixels.shape[:2])
  # MindCV's operations take arrays.
  image = pixels if args.package == 'mindcv' else Image.fromarray(pixels)
  random.seed(0)
  np.random.seed(0)
  record, images = {}, []
  for policy, (transform, count, source) in package.policies.items():
    levels, rows, of_policy = results(package, transform, count, image)
    record[policy] = {
      'source': citation(args.package, source),
      'pairs': package.pairs(transform),
      'levels': levels,
      'images': [(*row, i + len(images)) for *row, i in rows],
      'drawn': statistics(package, transform, image),
    }
    images += of_policy
  np.savez_compressed(
    args.out, record=json.dumps(record), images=np.stack(images)
  )


if __name__ == '__main__':
  main()
