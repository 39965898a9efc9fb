"""Fine-tunes trained weights on a few images, here and in Keras.

  make transfer DATA=DIR          # writes benchmarks/transfer.md

DIR has CIFAR-10's images as files, in train/CLASS and test/CLASS; of both, an
equal number of each class is used, at 139². All trainings start from the same
file, an Inception-v3 that `trained_weights` reads, and get the same pixels in
the same batches: in main.py, and in Keras's Model.fit, compiled by XLA and not.
They run one after the other, each with all cores; later rounds are without XLA,
every second one in reverse order. The exit status is 1 if our top-1 differs
from Keras's by more than a point, or if we train slower than the faster of
Keras's two.
"""

import argparse
import itertools
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import numpy as np

from inception_jax.runtime import hardware
from inception_jax.runtime import metrics_file
from inception_jax.weights import pretrained
from tests.parity import compare
from tests.parity import run
from tests.parity import table
from tests.parity import transfer_setup as setup

BOUND = 0.01  # of the difference of top-1
FEW = 8  # images whose first logits are compared
OURS = 'inception_jax'
CACHED = 'inception_jax, cached features'  # of the head alone
# Side → Keras's jit_compile; 'auto', its default, is without XLA on CPUs.
KERAS = {'Keras': 'auto', 'Keras with XLA': True}
_COLUMNS = ['trained', 'learning rate', 'side', 'top-1', 'test loss']
_COLUMNS += ['train loss', 'images/s', 'ours ÷ its images/s', 'seconds']
_EXPLAINED = """\
Inception-v3 at {size}², float32, from the weights that the npm package nsfwjs
ships, on {images} images of CIFAR-10's training set without augmentation:
{epochs} epochs in batches of {batch}, SGD with momentum 0.9 and a constant
learning rate. Top-1 and loss are those of {tested} test images, train loss is
the last epoch's mean. BatchNorm is frozen everywhere, with its γ and β.

Both sides have the same new classifier and the same pixels in the same batches.
We train by `main.py` with `configs/fine_tune_folder.py`, which decodes the
files in each epoch; Keras 3 on TensorFlow trains by `Model.fit` and gets them
decoded, by `tf.data`. It runs with `jit_compile='auto'`, its default, which on
CPUs is without XLA, and once with XLA. The trainings run one after the other,
each with all cores. Rounds: {rounds}, every second one in reverse order.
Images/s are the median of all epochs but each training's first, in which Keras
compiles. Seconds are those of a whole training, from the start of the process
to its end, with compiling and the evaluation. `cached features` is
`--config.fine_tune.cache_features=True`, which computes the features in the
first epoch and reads them in the others.
"""


def in_keras(what: str, settings: dict) -> str:
  """Runs keras_transfer.py; returns what it prints."""
  path = setup.RUNS / 'settings.json'
  path.write_text(json.dumps(settings))
  return subprocess.run(
    [sys.executable, '-m', 'tests.parity.keras_transfer', what, str(path)],
    cwd=run.ROOT,
    stdout=subprocess.PIPE,
    text=True,
    check=True,
  ).stdout


def in_main(overrides: dict) -> dict:
  """Trains by main.py, as a new run; returns what Keras's result has."""
  workdir = setup.RUNS / 'run'
  shutil.rmtree(workdir, ignore_errors=True)
  done = subprocess.run(
    [
      *(sys.executable, 'main.py', '--config=configs/fine_tune_folder.py'),
      f'--workdir={workdir}',
      *(f'--config.{key}={value}' for key, value in overrides.items()),
    ],
    cwd=run.ROOT,
    stdout=subprocess.PIPE,
    text=True,
    check=True,
  )
  scores = json.loads(done.stdout.splitlines()[-1])
  lines = [x for x in metrics_file.read(str(workdir)) if x['split'] == 'train']
  return {
    'train_loss': [line['loss'] for line in lines],
    'images_per_sec': [line['images_per_sec'] for line in lines],
    **{key: scores[key] for key in ('loss', 'top1', 'count')},
  }


def first_logits(images: str) -> np.ndarray:
  """Returns our logits of a few images before the training."""
  model, variables, card = pretrained.load_pretrained(str(setup.WEIGHTS))
  pixels = np.load(images, mmap_mode='r')[:FEW]
  logits, _ = model.apply(
    variables, (pixels - np.float32(card.mean)) / np.float32(card.std)
  )
  return np.asarray(logits)


def measure(epochs: int, rounds: int, arrays: dict) -> tuple[dict, float]:
  """Trains everything on all sides.

  Returns:
    (trained, side) → the results of the rounds; and the difference of the first
    logits, relative to the largest.
  """
  todo = []
  for i in range(rounds):
    # Once is enough for XLA, with which Keras takes twice the time on CPUs.
    sides = (OURS, *KERAS) if i == 0 else (OURS, 'Keras')
    both = [('head', CACHED), *itertools.product(setup.TRAINED, sides)]
    todo += both[:: -1 if i % 2 else 1]
  results = {key: [] for key in todo}
  ours, difference = first_logits(arrays['test_images']), 0.0
  for i, (trained, side) in enumerate(todo, 1):
    print(
      f'training {i} of {len(todo)}: {trained}, {side}',
      file=sys.stderr,
      flush=True,
    )
    began = time.perf_counter()
    if side in (OURS, CACHED):
      changes = {'fine_tune.cache_features': side == CACHED}
      result = in_main(setup.overrides(trained, epochs) | changes)
    else:
      settings = setup.settings(trained, epochs, KERAS[side])
      printed = in_keras('train', {**settings, 'arrays': arrays, 'few': FEW})
      result = json.loads(printed.splitlines()[-1])
      logits = result.pop('logits')
      difference = max(difference, compare.relative(ours, logits))
    result['seconds'] = time.perf_counter() - began
    assert len(result['images_per_sec']) == epochs, result
    print(result, file=sys.stderr, flush=True)
    results[trained, side].append(result)
  return results, difference


def summary(results: list[dict]) -> dict:
  """Joins the results of a side's rounds."""
  speeds = [x for r in results for x in r['images_per_sec'][1:]]
  return {
    'top1': statistics.mean(r['top1'] for r in results),
    'loss': statistics.mean(r['loss'] for r in results),
    'train_loss': statistics.mean(r['train_loss'][-1] for r in results),
    'images_per_sec': statistics.median(speeds),
    'seconds': statistics.mean(r['seconds'] for r in results),
  }


def verdict(sides: dict[str, dict]) -> tuple[bool, str]:
  """Returns whether the summaries reach the targets, and by how much."""
  ours, keras = sides[OURS], [sides[side] for side in KERAS]
  ratio = ours['images_per_sec'] / max(x['images_per_sec'] for x in keras)
  points = max((100 * (ours['top1'] - x['top1']) for x in keras), key=abs)
  ok = ratio >= 1 and abs(points) <= 100 * BOUND + 1e-9
  return ok, (
    f"top-1 {points:+.2f} points from Keras's (bound {100 * BOUND:g}), "
    f'{ratio:.3f} × the images/s of the faster Keras (bound 1): '
    f'{"ok" if ok else "MISSED"}'
  )


def lines_of(trained: str, sides: dict[str, dict]) -> list[str]:
  """Formats the rows of what is trained."""
  rate, lines = setup.TRAINED[trained][2], []
  for side, x in sides.items():
    cells = [trained, f'{rate:g}', side, f'{x["top1"]:.4f}']
    cells += [f'{x["loss"]:.4f}', f'{x["train_loss"]:.4f}']
    speed = x['images_per_sec']
    cells += [f'{speed:.1f}', f'{sides[OURS]["images_per_sec"] / speed:.3f}']
    cells.append(f'{x["seconds"]:.0f}')
    lines.append(f'| {" | ".join(cells)} |')
  return lines


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--data', required=True, help='folder of the images')
  parser.add_argument('--package', required=True, help='nsfwjs, unpacked')
  parser.add_argument('--images', type=int, default=2000, help='of each set')
  parser.add_argument('--epochs', type=int, default=5, help='at least 2')
  parser.add_argument('--rounds', type=int, default=2)
  args = parser.parse_args()
  setup.RUNS.mkdir(parents=True, exist_ok=True)
  setup.copy_images(pathlib.Path(args.data), args.images)
  package = str(pathlib.Path(args.package).resolve())
  start = setup.settings('head', args.epochs, 'auto')
  in_keras('start', {**start, 'package': package})
  arrays = setup.save_arrays(args.epochs)
  results, difference = measure(args.epochs, args.rounds, arrays)

  lines, notes, reached = [], [], True
  for trained in setup.TRAINED:
    sides = {
      side: summary(results[trained, side])
      for side in (OURS, CACHED, *KERAS)
      if (trained, side) in results
    }
    lines += lines_of(trained, sides)
    ok, text = verdict(sides)
    reached &= ok
    notes.append(f'{trained}: {text}.')
  explained = _EXPLAINED.format(
    size=setup.SIZE,
    images=args.images,
    epochs=args.epochs,
    batch=setup.BATCH,
    tested=results['head', OURS][0]['count'],
    rounds=args.rounds,
  )
  notes += [
    f'Before the training, our logits of {FEW} images differ from '
    f"Keras's by {difference:.1e} of the largest.",
    table.versions(sys.executable),
  ]
  page = table.page(
    '# Fine-tuning, compared with Keras',
    f"`make transfer DATA=DIR ARGS='--images={args.images} "
    f"--epochs={args.epochs} --rounds={args.rounds}'` on {hardware.machine()}.",
    explained,
    _COLUMNS,
    lines,
    notes,
  )
  print(page)
  (run.ROOT / 'benchmarks' / 'transfer.md').write_text(page)
  return 0 if reached else 1


if __name__ == '__main__':
  os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  sys.exit(main())
