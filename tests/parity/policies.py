"""Compares AutoAugment and RandAugment with torchvision, timm and MindCV.

  make parity-augmentation                # writes benchmarks/policies.md
  make parity-augmentation ARGS=--golden  # rewrites golden/policies-*

Each package runs in its own environment (reference_policies.py). Every
operation of every policy is compared at every magnitude: its level, and its
result on a photograph at the policy's magnitudes. What the package's own
sampler draws is compared in numbers per image. The exit status is 1 if a
difference exceeds its bound. The golden files hold the same for a small image,
of whose results they keep every fourth pixel of every fourth row.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from sklearn import datasets

from inception_jax.data.augment import policies
from inception_jax.runtime import hardware
from tests.parity import compare_policies
from tests.parity import table

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
ENVIRONMENTS = {
  'torchvision': '.venv-torch',
  'timm': '.venv-torch',
  'mindcv': '.venv-mindspore',
}
GOLDEN_STEP = 4


def golden_path(package: str) -> pathlib.Path:
  return HERE / 'golden' / f'policies-{package}.npz'


def golden_image() -> np.ndarray:
  """Three gradients and a box: uint8 [24, 32, 3]."""
  y, x = np.mgrid[:24, :32]
  far = ((x - 16) ** 2 + (y - 12) ** 2) // 3
  image = np.stack([20 + 7 * x, 200 - 6 * y, 60 + far], -1)
  image[6:12, 4:12] += 30
  return image.clip(0, 255).astype(np.uint8)


def reference(
  package: str, image: np.ndarray, folder
) -> tuple[dict, np.ndarray]:
  """Runs a package; returns what reference_policies.py writes."""
  source, out = f'{folder}/image.npy', f'{folder}/{package}.npz'
  np.save(source, image)
  python = ROOT / ENVIRONMENTS[package] / 'bin' / 'python'
  program = str(HERE / 'reference_policies.py')
  flags = (f'--package={package}', f'--image={source}', f'--out={out}')
  subprocess.run([python, program, *flags], check=True)
  return load(out)


def load(path) -> tuple[dict, np.ndarray]:
  """Returns policy → record, and the images."""
  with np.load(path) as file:
    return json.loads(str(file['record'])), file['images']


def rows_of(policy: str, record: dict, images, image) -> list[list]:
  """Returns a row for each operation of a policy, with a verdict."""
  draws = compare_policies.draws_differ(policy, record['drawn'], image.shape)
  rows = []
  for name, theirs in record['levels'].items():
    ours = compare_policies.levels(policy, name, len(theirs), image.shape)
    level = float(np.abs(ours - theirs).max())
    compared = [row for row in record['images'] if row[0] == name]
    if not compared:  # AutoAugment does not draw it
      continue
    of_images = [
      compare_policies.pixels(image, policy, name, row[2], images[row[3]])
      for row in compared
    ]
    most, mean = np.max(of_images, axis=0)
    limit = compare_policies.bound(policy, name)
    merged = policies.applied_name(compare_policies.mapped(policy, name))
    errors = draws.get(merged, 0.0)
    good = level < 1e-3 and errors < 5 and (limit is None or most <= limit)
    cells = [policy, record['source'], name, len(theirs), f'{level:.0e}']
    cells += [len(compared), f'{most:g}', f'{mean:.2f}', f'{errors:.1f}']
    rows.append([*cells, 'ok' if good else 'OVER'])
  return rows


_EXPLAINED = """\
Levels: the largest difference over all magnitudes, in the unit of the operation
(degrees, pixels, factors, bits, grey levels). Pixels: on a photograph of 299²,
the largest difference in grey levels and the mean one, at every magnitude of
the policy; the largest leaves out the border to the fill color, where PIL
repeats the outermost pixel. Draws: the largest difference of draws per image,
of signs and of mean levels, in standard errors, over 20,000 images each; the
bound is 5. MindSpore rounds where PIL truncates, and shears around the center.
"""
_COLUMNS = 'policy, source, operation, magnitudes, levels, images, pixels, '
_COLUMNS += 'mean, draws, '


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--golden', action='store_true')
  args = parser.parse_args()
  photo = datasets.load_sample_image('flower.jpg')[60:359, 150:449]
  image = golden_image() if args.golden else photo
  rows = []
  for package in ENVIRONMENTS:
    with tempfile.TemporaryDirectory() as folder:
      records, images = reference(package, image, folder)
    if args.golden:
      few = images[:, ::GOLDEN_STEP, ::GOLDEN_STEP]
      record = json.dumps(records)
      np.savez_compressed(golden_path(package), record=record, images=few)
    else:
      for policy, record in records.items():
        rows += rows_of(policy, record, images, image)
  if args.golden:
    return 0
  pythons = [sys.executable, str(ROOT / ENVIRONMENTS['mindcv'] / 'bin/python')]
  text = table.page(
    '# AutoAugment and RandAugment against their sources',
    f'`make parity-augmentation` on {hardware.machine()}.',
    _EXPLAINED.strip(),
    _COLUMNS.split(', '),
    [f'| {" | ".join(map(str, row))} |' for row in rows],
    [*map(table.versions, pythons)],
  )
  print(text)
  (ROOT / 'benchmarks' / 'policies.md').write_text(text)
  return 1 if any(row[-1] == 'OVER' for row in rows) else 0


if __name__ == '__main__':
  os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  sys.exit(main())
