"""Compares decoded photographs with Pillow's, torchvision's and timm's pixels.

  make parity-photos DATA=DIR    # a minute; writes benchmarks/photos.md

DIR is a folder of images as people have them, of any depth. All are decoded,
and prepared for evaluation by the protocols of torchvision and timm. The exit
status is 1 if a pixel differs.
"""

import argparse
import collections
from collections.abc import Callable
import io
import os
import sys

import numpy as np
from PIL import Image
from PIL import ImageOps
import timm.data
import torchvision

from configs import digits
from inception_jax.data import decode
from inception_jax.data import image_files
from inception_jax.data.lazy import tf
from inception_jax.models import factory
from inception_jax.runtime import hardware
from tests.parity import run
from tests.parity import table

_EXPLAINED = """\
Every image is read as the library does it: `Image.open(…).convert('RGB')`, then
its own transform for evaluation, on 8-bit levels. Bound: no pixel differs.
"""


def _squashed(image):
  return image.resize((299, 299), Image.Resampling.BILINEAR)


def _timm(interpolation: str, fraction: float):
  transform = timm.data.create_transform(
    *(299, False), interpolation=interpolation, crop_pct=fraction
  )
  kinds = torchvision.transforms.Resize, torchvision.transforms.CenterCrop
  steps = [step for step in transform.transforms if isinstance(step, kinds)]
  assert len(steps) == 2
  return torchvision.transforms.Compose(steps)


def _torchvision():
  weights = torchvision.models.Inception_V3_Weights.DEFAULT.transforms()
  return torchvision.transforms.Compose(
    [
      torchvision.transforms.Resize(weights.resize_size, antialias=True),
      torchvision.transforms.CenterCrop(weights.crop_size),
    ]
  )


def protocols() -> dict[str, tuple[dict, Callable]]:
  """Returns name → our `config.data`, and what makes it of an RGB image."""
  crop = {'eval_crop_mode': 'short_side', 'image_size': 299}
  exact = {'train_crop': 'none'}
  return {
    'decoded, Pillow': (exact, lambda image: image),
    'turned upright, Pillow': (exact | {'exif': 'apply'}, lambda image: image),
    'Inception-v3, torchvision': (
      {**crop, 'eval_crop_fraction': 299 / 342, 'interpolation': 'bilinear'},
      _torchvision(),
    ),
    'Inception-v3, timm': (
      {**crop, 'eval_crop_fraction': 0.875, 'interpolation': 'bicubic'},
      _timm('bicubic', 0.875),
    ),
    'whole image, Pillow': (
      {'eval_crop_mode': 'squash', 'image_size': 299},
      _squashed,
    ),
  }


def differences(paths: list[str], changes: dict, make: Callable) -> list[float]:
  """Returns the largest difference of levels of each image; inf: of size."""
  data = factory.resolve(digits.get_config()).data
  data.update({'channels': 3, **changes})
  found = []
  for path in paths:
    with open(path, 'rb') as file:
      encoded = file.read()
    image = Image.open(io.BytesIO(encoded))
    if data.exif == 'apply':
      image = ImageOps.exif_transpose(image)
    expected = np.asarray(make(image.convert('RGB'))).astype(int)
    if 'train_crop' in changes:
      pixels = decode.train_crop(tf.constant(encoded), None, data).numpy()
    else:
      pixels = decode.eval_image(tf.constant(encoded), data).numpy()
    same = pixels.shape == expected.shape
    found.append(np.abs(pixels - expected).max() if same else np.inf)
  return found


def kinds(paths: list[str]) -> str:
  """Returns how many images there are of which format and mode."""
  counts = collections.Counter()
  for path in paths:
    with Image.open(path) as image:
      counts[image.format] += 1
      counts[image.mode] += 1
      counts['EXIF'] += bool(image.getexif())
      counts['turned'] += image.getexif().get(0x0112, 1) > 1
      counts['colour profile'] += 'icc_profile' in image.info
      counts['progressive'] += 'progressive' in image.info
  return ', '.join(f'{count} {kind}' for kind, count in counts.items())


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--data', required=True, help='the folder')
  parser.add_argument(
    '--output', default=str(run.ROOT / 'benchmarks/photos.md')
  )
  args = parser.parse_args()
  paths = image_files.find([args.data])
  lines, worst = [], 0
  for name, (changes, make) in protocols().items():
    found = differences(paths, changes, make)
    worst = max(worst, *found)
    cells = name, len(found), sum(x > 0 for x in found), f'{max(found):g}'
    lines.append(f'| {" | ".join(map(str, cells))} |')
    print(lines[-1], file=sys.stderr, flush=True)
  text = table.page(
    '# Pixels of photographs, compared with Pillow, torchvision and timm',
    f'`make parity-photos DATA=DIR` on {hardware.machine()}.',
    f'{_EXPLAINED}\nThe images: {kinds(paths)}.',
    ['protocol', 'images', 'different', 'largest difference, of 255'],
    lines,
    [table.versions(sys.executable)],
  )
  print(text)
  with open(args.output, 'w') as file:
    file.write(text)
  return 1 if worst else 0


if __name__ == '__main__':
  os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  sys.exit(main())
