"""Compares random crops with those of torchvision, timm and TensorFlow.

  make parity-augmentation                # minutes; writes benchmarks/crops.md
  make parity-augmentation ARGS=--golden  # rewrites golden/crops.json

Each library draws windows as its recipes do. Their statistics are compared with
those of as many windows of `data.crops.sample`. The exit status is 1 if one
differs by more than its bound.
The golden file has the libraries' statistics, for tests/data/test_crops.py.
"""

import argparse
import json
import os
import pathlib
import random
import sys

import numpy as np

from inception_jax.config import defaults
from inception_jax.data import crops
from inception_jax.data.lazy import tf
from inception_jax.runtime import hardware
from tests.parity import table

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = ROOT / 'tests' / 'parity' / 'golden' / 'crops.json'
COUNT = 100_000
RATIO = (3 / 4, 4 / 3)
# ImageNet's commonest size in both orientations, and a strip, of which most
# attempts do not fit.
SHAPES = ((375, 500), (500, 375), (100, 600))
# Source → value of data.train_crop, data.crop_area. TensorFlow is the last: the
# import of torchvision crashes after its own.
SOURCES = {
  'torchvision': ('resized', (0.08, 1.0)),
  'timm': ('resized', (0.08, 1.0)),
  'tensorflow/tpu': ('tensorflow', (0.05, 1.0)),
}
BOUND = 0.012  # of each statistic; ten standard deviations of COUNT draws
_EXPLAINED = f"""\
{COUNT:,} windows of each: `RandomResizedCrop.get_params` of torchvision,
`RandomResizedCropAndInterpolation.get_params` of timm, and
`tf.image.sample_distorted_bounding_box` as tensorflow/tpu and TF-slim call it.
Each cell is the source's value, then ours. Ratios are width / height; begin is
the first row and column as a fraction of the free ones. Bound of each
difference: {BOUND:g}.
"""


def statistics(windows: np.ndarray, shape: tuple[int, int]) -> dict:
  """Returns what describes int [N, 4] windows: row, column, height, width."""
  begin, size = windows[:, :2], windows[:, 2:]
  area = size.prod(1) / np.prod(shape)
  free = np.array(shape) - size
  place = (begin / np.maximum(free, 1))[free > 0]
  ratios = np.quantile(size[:, 1] / size[:, 0], (0.05, 0.25, 0.5, 0.75, 0.95))
  values = {
    'mean area': area.mean(),
    'under a quarter': (area < 0.25).mean(),
    'under a tenth': (area < 0.1).mean(),
    'whole image': (free == 0).all(1).mean(),
    'mean begin': place.mean(),
  }
  for percent, ratio in zip((5, 25, 50, 75, 95), ratios, strict=True):
    values[f'ratio, {percent} %'] = ratio
  return {name: round(float(value), 4) for name, value in values.items()}


def ours(shape, count: int, **data) -> np.ndarray:
  """Returns int32 [count, 4] windows of `crops.sample`, of seed 0."""
  config = defaults.get_config().data
  config.update(data)

  def window(position):
    seed = tf.stack([tf.constant(0, tf.int64), position])
    drawn = crops.sample(tf.constant((*shape, 3)), seed, config)
    return tf.concat(drawn, 0)

  return _drawn(window, count)


def _drawn(window, count: int) -> np.ndarray:
  windows = tf.data.Dataset.range(count).map(window).batch(count)
  return next(windows.as_numpy_iterator())


def of_source(source: str, shape, count: int, area) -> np.ndarray:
  """Returns int [count, 4] windows that a library drew."""
  if source == 'tensorflow/tpu':
    return _of_tensorflow(shape, count, area)
  import torch

  image = torch.empty(3, *shape)
  if source == 'torchvision':
    from torchvision.transforms import RandomResizedCrop as crop
  else:
    from timm.data.transforms import RandomResizedCropAndInterpolation as crop
  torch.manual_seed(0)
  random.seed(0)
  return np.array([crop.get_params(image, area, RATIO) for _ in range(count)])


def _of_tensorflow(shape, count: int, area) -> np.ndarray:
  whole = tf.constant([0.0, 0.0, 1.0, 1.0], shape=[1, 1, 4])

  def window(_):
    begin, size, _ = tf.image.sample_distorted_bounding_box(
      tf.constant((*shape, 3)),
      bounding_boxes=whole,
      min_object_covered=0.1,
      aspect_ratio_range=RATIO,
      area_range=area,
      max_attempts=100,
      use_image_if_no_bounding_boxes=True,
    )
    return tf.concat([begin[:2], size[:2]], 0)

  tf.random.set_seed(0)
  return _drawn(window, count)


def golden() -> dict:
  """Returns statistics, and windows where no attempt fits, by library."""
  drawn = {}
  for source, (_, area) in SOURCES.items():
    drawn[source] = {}
    for shape in SHAPES:
      windows = of_source(source, shape, COUNT, area)
      drawn[source][f'{shape[0]}×{shape[1]}'] = statistics(windows, shape)
  # The whole area of these never has a ratio in the range.
  strips = ((100, 600), (601, 101), (7, 2), (1, 9))
  centers = {
    f'{height}×{width}': of_source(
      'torchvision', (height, width), 1, (1.0, 1.0)
    ).tolist()[0]
    for height, width in strips
  }
  return {'statistics': drawn, 'centers': centers}


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--golden', action='store_true')
  values = golden()
  if parser.parse_args().golden:
    GOLDEN.write_text(json.dumps(values, indent=1, ensure_ascii=False) + '\n')
    return 0
  lines, over = [], False
  for source, (crop, area) in SOURCES.items():
    for shape in SHAPES:
      name = f'{shape[0]}×{shape[1]}'
      theirs = values['statistics'][source][name]
      drawn = ours(shape, COUNT, train_crop=crop, crop_area=area)
      found = statistics(drawn, shape)
      wrong = [k for k in theirs if abs(found[k] - theirs[k]) > BOUND]
      over |= bool(wrong)
      cells = [f'{theirs[k]:.3f}, {found[k]:.3f}' for k in theirs]
      cells = [source, f"'{crop}'", name, *cells, 'OVER' if wrong else 'ok']
      lines.append(f'| {" | ".join(cells)} |')
  text = table.page(
    '# Random crops',
    f'`make parity-augmentation` on {hardware.machine()}.',
    _EXPLAINED.rstrip(),
    ['source', '`data.train_crop`', 'image', *theirs, ''],
    lines,
    [table.versions(sys.executable)],
  )
  print(text)
  (ROOT / 'benchmarks' / 'crops.md').write_text(text)
  return 1 if over else 0


if __name__ == '__main__':
  os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  sys.exit(main())
