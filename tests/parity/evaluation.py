"""Compares evaluation with that of torchvision and timm.

  make parity-evaluation    # 15 minutes; writes benchmarks/evaluation.md
  make parity-evaluation ARGS=--only=timm-inception_v4

The images are JPEGs of ImageNet's sizes in eight classes: two photographs of
scikit-learn, each with four orders of the color channels. The library
evaluates its network with its own preprocessing (torch_evaluation.py); its
weights are imported, and `main.py --mode=eval` evaluates them. The exit status
is 1 if top-1 or top-5 differ by more than 0.1 points, or the losses by more
than 0.001.
"""

import argparse
import csv
import itertools
import json
import os
import pathlib
import sys
import tempfile

import numpy as np
from PIL import Image
from sklearn import datasets

from inception_jax.runtime import hardware
from tests.parity import run
from tests.parity import table

# Bounds of the absolute differences, of top-1 and top-5 in percentage points.
POINTS, LOSS = 0.1, 1e-3
NETWORKS = (
  ('torchvision', 'inception_v3', '.pth'),
  ('timm', 'inception_v3', '.safetensors'),
  ('timm', 'inception_v4', '.safetensors'),
)
COUNTS = {'train': 200, 'val': 500}
_SIZES = ((500, 375), (375, 500), (500, 333), (300, 225), (640, 480))
_NOISE = 21  # standard deviation, of 255
_COLOURS = ((0, 1, 2), (1, 2, 0), (2, 0, 1), (1, 0, 2))
_EXPLAINED = f"""\
{COUNTS['val']} JPEGs of ImageNet's sizes in eight classes: scikit-learn's two
photographs, each with four orders of the color channels. The network's head
was fitted to {COUNTS['train']} other images by logistic regression, on features
of initial weights. The library evaluates with its own transforms (PIL) and
forward pass; we import its weights and run `main.py --mode=eval`.
Bounds: {POINTS} points of top-1 and top-5, {LOSS:g} of the loss.
"""


def write_photos(folder: pathlib.Path) -> None:
  """Writes folder/train and folder/val, class folders of JPEGs."""
  photos = list(map(Image.fromarray, datasets.load_sample_images().images))
  random = np.random.default_rng(0)
  for split, count in COUNTS.items():
    for i in range(count):
      photo = photos[i % 2]
      extent = (np.array(photo.size) * random.uniform(0.4, 1.0)).astype(int)
      corner = random.integers(0, np.array(photo.size) - extent + 1)
      size = _SIZES[random.integers(len(_SIZES))]
      box = (*corner, *(corner + extent))
      image = photo.crop(box).resize(size, Image.BICUBIC)
      noise = random.normal(0, _NOISE, (size[1], size[0], 1))
      pixels = np.asarray(image)[..., _COLOURS[i // 2 % len(_COLOURS)]] + noise
      pixels = np.clip(pixels, 0, 255).astype(np.uint8)
      path = folder / split / f'class_{i % 8}' / f'{i:05}.JPEG'
      path.parent.mkdir(parents=True, exist_ok=True)
      Image.fromarray(pixels).save(path, quality=90)


def row(library, network, suffix, data, folder) -> tuple[str, bool]:
  """Returns a row of the table, and whether it is within the bounds."""
  weights, imported = folder / f'weights{suffix}', folder / 'imported'
  expected = json.loads(
    run.run(
      sys.executable,
      str(run.HERE / 'torch_evaluation.py'),
      *(library, network, str(data), str(weights)),
    ).splitlines()[-1]
  )
  run.result_of(
    '-m',
    'inception_jax.tools.import_weights',
    f'--weights={weights}',
    f'--output={imported}',
  )
  actual = run.result_of(
    'main.py',
    '--mode=eval',
    f'--config=configs/{network}.py',
    f'--workdir={imported}',
    '--config.data.source=folder',
    f'--config.data.dir={data}',
    '--config.data.eval_split=val',
    '--config.batch_size=20',
    '--config.precision=float32',
    f'--output={folder / "output"}',
  )
  with open(folder / 'output' / 'predictions.csv', newline='') as file:
    predictions = {
      os.path.basename(line['image']): int(line['class_1'].split('_')[1])
      for line in csv.DictReader(file)
    }
  assert predictions.keys() == expected['predictions'].keys()
  different = sum(
    class_ != expected['predictions'][name]
    for name, class_ in predictions.items()
  )
  points = [100 * abs(actual[key] - expected[key]) for key in ('top1', 'top5')]
  loss = abs(actual['loss'] - expected['loss'])
  ok = max(points) <= POINTS and loss <= LOSS
  ok = ok and actual['count'] == expected['count']
  pairs = itertools.chain(
    *(
      (f'{100 * expected[key]:.1f}', f'{100 * actual[key]:.1f}')
      for key in ('top1', 'top5')
    )
  )
  cells = [
    network,
    library,
    str(actual['count']),
    *pairs,
    f'{expected["loss"]:.5f}',
    f'{actual["loss"]:.5f}',
    str(different),
    'ok' if ok else 'OVER',
  ]
  return f'| {" | ".join(cells)} |', ok


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--only', default='', help='part of LIBRARY-NETWORK')
  args = parser.parse_args()
  todo = [n for n in NETWORKS if args.only in f'{n[0]}-{n[1]}']
  lines, all_ok = [], True
  with tempfile.TemporaryDirectory() as scratch:
    data = pathlib.Path(scratch) / 'data'
    write_photos(data)
    for i, (library, network, suffix) in enumerate(todo, 1):
      folder = pathlib.Path(scratch) / str(i)
      folder.mkdir()
      line, ok = row(library, network, suffix, data, folder)
      print(f'{i} of {len(todo)}: {line}', file=sys.stderr, flush=True)
      lines.append(line)
      all_ok &= ok
  columns = ['network', 'library', 'images']
  for score in ('top-1', 'top-5', 'loss'):
    columns += [f'{score}, library', f'{score}, ours']
  columns += ['different top-1 predictions', '']
  text = table.page(
    '# Evaluation, compared with torchvision and timm',
    f'`make parity-evaluation` on {hardware.machine()}, in float32.',
    _EXPLAINED,
    columns,
    lines,
    [table.versions(sys.executable)],
  )
  print(text)
  if not args.only:
    (run.ROOT / 'benchmarks' / 'evaluation.md').write_text(text)
  return 0 if all_ok else 1


if __name__ == '__main__':
  os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  sys.exit(main())
