"""Compares the accuracy after a short training with PyTorch's.

  make learning CLONES=DIR        # writes benchmarks/learning.md

Trains configs/folder_cifar_inception_v3.py for two epochs on 5,000 images of
Fashion-MNIST, and evaluates on 2,000 others; and the same network of
weiaicunzai/pytorch-cifar100 (DIR/pytorch-cifar100) in PyTorch. Each side runs
with three seeds, which choose the initial weights and the order of the images.
The trainings run in parallel, one per core, so that none waits for another's
threads. Each has a folder with its log in runs/learning; finished trainings are
not repeated, and our interrupted ones resume. The exit status is 1 if our mean
top-1 is more than a point below PyTorch's.
"""

import argparse
from concurrent import futures
import json
import os
import pathlib
import queue
import shutil
import statistics
import subprocess
import sys
import time

from configs import folder_cifar_inception_v3 as recipe
from inception_jax.config import durations
from inception_jax.models import factory
from inception_jax.runtime import hardware
from inception_jax.training import schedules
from tests.parity import cases
from tests.parity import fashion_mnist
from tests.parity import run
from tests.parity import table

SEEDS = (0, 1, 2)
SIDES = ('inception_jax', 'PyTorch')
SIZE = 28  # of the images, which are not resized
BOUND = 0.01  # of our mean top-1 below PyTorch's
_CASE = 'weiaicunzai-cifar_inception_v3'
_EXPLAINED = """\
`configs/folder_cifar_inception_v3.py` at 28², full width, float32: two epochs
of 5,000 images of Fashion-MNIST (Debian's dataset-fashion-mnist), evaluated on
2,000 of its test images. PyTorch trains the network of
weiaicunzai/pytorch-cifar100 in the channels-last layout with the same batch
size, optimizer, learning rate at each step, weight decay and augmentation. Each
side has its own initial weights and its own order of the images.
"""


def settings_of(config, images: pathlib.Path, clone: str, seed: int) -> dict:
  """Returns the settings of the training, as torch_learning.py reads them."""
  plan = durations.plan(config, fashion_mnist.TRAIN)
  rate = schedules.make_schedule(config.schedule, config.batch_size, plan)
  assert config.optimizer.name == 'sgd' and config.data.flip
  return {
    'dir': str(images),
    'clone': clone,
    'seed': seed,
    'size': SIZE,
    'pad': config.data.pad,
    'mean': list(config.data.mean),
    'std': list(config.data.std),
    'batch_size': config.batch_size,
    'momentum': config.optimizer.momentum,
    'nesterov': config.optimizer.nesterov,
    'label_smoothing': config.label_smoothing,
    'workers': 0,  # each training has one core
    'weight_decay': config.weight_decay,
    'rates': [float(rate(step)) for step in range(plan.total)],
  }


def command_of(side: str, settings: dict, folder: pathlib.Path) -> list[str]:
  """Returns the arguments of the process that trains one side."""
  if side == 'PyTorch':
    path = folder / 'settings.json'
    path.write_text(json.dumps(settings))
    return [str(run.HERE / 'torch_learning.py'), str(path)]
  return [
    'main.py',
    '--config=configs/folder_cifar_inception_v3.py',
    f'--workdir={folder}',
    f'--config.data.dir={settings["dir"]}',
    f'--config.data.image_size={SIZE}',
    f'--config.seed={settings["seed"]}',
  ]


def train(side: str, settings: dict, folder: pathlib.Path, core: int) -> dict:
  """Trains, unless the folder has a result; returns the result."""
  path = folder / 'result.json'
  if path.exists():
    result = json.loads(path.read_text())
    if result['settings'] == settings:
      return result
    shutil.rmtree(folder)
  folder.mkdir(parents=True, exist_ok=True)
  begin = time.monotonic()
  command = [sys.executable, *command_of(side, settings, folder)]
  with open(folder / 'log.txt', 'a') as log:
    done = subprocess.run(
      ['taskset', '--cpu-list', str(core), *command],
      cwd=run.ROOT,
      stdout=subprocess.PIPE,
      stderr=log,
      text=True,
      check=True,
    )
  scores = json.loads(done.stdout.splitlines()[-1])
  minutes = (time.monotonic() - begin) / 60
  result = {**scores, 'minutes': minutes, 'settings': settings}
  path.write_text(json.dumps(result))
  return result


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--clones', required=True, help='folder of repositories')
  parser.add_argument('--package', required=True, help="Debian's four files")
  args = parser.parse_args()
  clone = run.clone_of(cases.named(_CASE), args.clones)
  if not clone:
    sys.exit('error: set CLONES=, a folder with a clone of pytorch-cifar100')
  runs = run.ROOT / 'runs' / 'learning'
  runs.mkdir(parents=True, exist_ok=True)
  images = runs / 'images'
  fashion_mnist.write(args.package, images)

  config = recipe.get_config()
  config.data.image_size = SIZE
  config = factory.resolve(config)
  lines, top1 = [], {side: [] for side in SIDES}
  cores = queue.SimpleQueue()
  for core in sorted(os.sched_getaffinity(0)):
    cores.put(core)

  def train_on_free_core(side, seed):
    core = cores.get()
    settings = settings_of(config, images, clone, seed)
    name = f'{side}, seed {seed}, on core {core}'
    print(f'{time.ctime()} {name}', file=sys.stderr, flush=True)
    result = train(side, settings, runs / f'{side}-{seed}', core)
    print(f'{time.ctime()} {name}: {result}', file=sys.stderr, flush=True)
    cores.put(core)
    return result

  todo = [(side, seed) for side in SIDES for seed in SEEDS]
  with futures.ThreadPoolExecutor(cores.qsize()) as pool:
    results = list(pool.map(train_on_free_core, *zip(*todo, strict=True)))
  for (side, seed), result in zip(todo, results, strict=True):
    assert result['count'] == fashion_mnist.VAL, result
    top1[side].append(result['top1'])
    cells = [side, str(seed), f'{result["top1"]:.4f}', f'{result["loss"]:.4f}']
    steps = len(result['settings']['rates'])
    cells += [str(steps), f'{result["minutes"]:.0f}']
    lines.append(f'| {" | ".join(cells)} |')

  ours, pytorch = (statistics.mean(top1[side]) for side in SIDES)
  for side in SIDES:
    mean, stdev = statistics.mean(top1[side]), statistics.stdev(top1[side])
    lines.append(f'| {side} | mean | {mean:.4f} ± {stdev:.4f} | – | – | – |')
  ok = ours >= pytorch - BOUND
  text = table.page(
    '# Accuracy after a short training, compared with PyTorch',
    f'`make learning CLONES=DIR` on {hardware.machine()}.',
    f'{_EXPLAINED}\nBound: our mean, {ours:.4f}, is at most {BOUND:g} '
    f"below PyTorch's, {pytorch:.4f}: {'ok' if ok else 'MISSED'}.",
    ['side', 'seed', 'top-1', 'loss', 'steps', 'minutes'],
    lines,
    [
      'Minutes of one core, while other jobs ran: not a measure of speed.',
      table.versions(sys.executable),
    ],
  )
  print(text)
  (run.ROOT / 'benchmarks' / 'learning.md').write_text(text)
  return 0 if ok else 1


if __name__ == '__main__':
  os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  sys.exit(main())
