"""Trains a recipe on CIFAR-10 to its end, beside PyTorch's first epochs.

  make cifar10 DATA=DIR           # writes benchmarks/cifar10.md

DIR has CIFAR-10's images as files, in train/CLASS and test/CLASS. On a GPU or
TPU, trains cifar10_pytorch_inception_v3 and then its annealed variant, both in
bfloat16; on a CPU cifar10_cpu_inception_v3 and, with PyTorch installed, two of
its epochs in PyTorch, from the same weights and with the same learning rates.
Trainings are in runs/cifar10: the same command resumes an interrupted one, and
does not repeat a finished one.
"""

import argparse
import importlib
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np

from inception_jax import trees
from inception_jax.config import durations
from inception_jax.models import factory
from inception_jax.runtime import hardware
from inception_jax.runtime import metrics_file
from inception_jax.training import schedules
from tests.parity import run
from tests.parity import table

RUNS = run.ROOT / 'runs' / 'cifar10'
IMAGES = 50_000
EPOCHS = 2  # in PyTorch
_ACCELERATED = ('cifar10_pytorch_inception_v3', 'cifar10_cosine_inception_v3')
_EXPLAINED = """\
The images are files that went once through JPEG compression, so that a little
of CIFAR-10 is lost. Each figure is of all 10,000 test images, after the epoch.
Train loss is the mean over the epoch, of augmented images.
"""


def resolved(recipe: str, data: str, overrides: dict[str, str | int]):
  """Returns the resolved config of a recipe on the folder `data`."""
  config = importlib.import_module(f'configs.{recipe}').get_config()
  config.update_from_flattened_dict(
    {
      'data.source': 'folder',
      'data.dir': data,
      'data.eval_split': 'test',
      **overrides,
    }
  )
  return factory.resolve(config)


def train(recipe: str, data: str, overrides: dict[str, str | int]) -> dict:
  """Trains with main.py, or resumes; returns its result."""
  workdir = RUNS / recipe
  command = [
    *(sys.executable, 'main.py'),
    f'--config=configs/{recipe}.py',
    f'--workdir={workdir}',
    '--config.data.source=folder',
    f'--config.data.dir={data}',
    '--config.data.eval_split=test',
    *(f'--config.{key}={value}' for key, value in overrides.items()),
  ]
  done = subprocess.run(
    command, cwd=run.ROOT, stdout=subprocess.PIPE, text=True
  )
  if done.returncode:
    sys.exit(done.returncode)
  report = [sys.executable, '-m', 'inception_jax.tools.report']
  subprocess.run(
    [*report, f'--workdir={workdir}'],
    cwd=run.ROOT,
    stdout=subprocess.DEVNULL,
    check=True,
  )
  return json.loads(done.stdout.splitlines()[-1])


def curve(recipe: str, config) -> list[list[str]]:
  """Returns a row of cells for each epoch that was evaluated."""
  lines = metrics_file.read(str(RUNS / recipe))
  epoch = IMAGES / config.batch_size
  rows, losses = [], []
  for line in sorted(lines, key=lambda line: line['step']):
    if line['split'] == 'train':
      losses.append(line['loss'])
      last = line
    elif line['split'] == 'eval':
      rows.append(
        [
          f'{line["step"] / epoch:.0f}',
          f'{last["learning_rate"]:.4f}',
          f'{np.mean(losses):.4f}',
          f'{line["loss"]:.4f}',
          f'{line["top1"]:.4f}',
        ]
      )
      losses = []
  return rows


def settings_of(config, steps: int, weights: pathlib.Path) -> dict:
  """Returns the settings of a training, as torch_cifar10.py reads them."""
  plan = durations.plan(config, IMAGES)
  rate = schedules.make_schedule(config.schedule, config.batch_size, plan)
  assert config.optimizer.name == 'sgd'
  assert config.optimizer.decay_on == ('*/kernel',) and not config.data.rotate
  return {
    'name': config.model.name,
    'stem': config.model.stem,
    'width': config.model.width,
    'dropout': config.model.dropout_rate,
    'epsilon': config.model.bn_epsilon,
    'bn_momentum': config.model.bn_momentum,
    'counted': config.model.pool_padding == 'counted',
    'num_classes': 10,
    'weights': str(weights),
    'dir': config.data.dir,
    'eval_split': config.data.eval_split,
    'size': config.data.image_size,
    'pad': config.data.pad,
    'mean': list(config.data.mean),
    'std': list(config.data.std),
    'batch_size': config.batch_size,
    'momentum': config.optimizer.momentum,
    'nesterov': config.optimizer.nesterov,
    'weight_decay': config.weight_decay,
    'label_smoothing': config.label_smoothing,
    'seed': config.seed,
    'workers': 1,  # reads and augments beside the training
    'rates': [float(rate(step)) for step in range(steps)],
  }


def save_first_weights(config, path: pathlib.Path) -> None:
  """Saves the weights of a training's start, and logits that they give."""
  model = factory.build(config, 10)
  size = config.data.image_size
  images = np.random.default_rng(0).normal(size=(8, size, size, 3))
  images = images.astype(np.float32)
  variables = jax.jit(model.init)(jax.random.key(config.seed), images[:1])
  logits, _ = jax.jit(model.apply)(variables, images)
  arrays = jax.device_get(trees.named_leaves(variables))
  np.savez(path, x=images, logits=logits, **arrays)


def in_pytorch(python: str, config) -> dict:
  """Trains the first epochs in PyTorch, unless there is a result of them."""
  steps = EPOCHS * IMAGES // config.batch_size
  weights = RUNS / 'first_weights.npz'
  settings = settings_of(config, steps, weights)
  stored = RUNS / 'pytorch.json'
  if stored.exists():
    result = json.loads(stored.read_text())
    if result['settings'] == settings:
      return result
  save_first_weights(config, weights)
  path = RUNS / 'settings.json'
  path.write_text(json.dumps(settings))
  done = subprocess.run(
    [python, '-m', 'tests.parity.torch_cifar10', str(path)],
    cwd=run.ROOT,
    stdout=subprocess.PIPE,
    text=True,
    check=True,
  )
  result = json.loads(done.stdout.splitlines()[-1])
  stored.write_text(json.dumps({**result, 'settings': settings}))
  return result


def section(recipe: str, config, result: dict, beside: list[str]) -> str:
  """Returns the part of the page on one training."""
  columns = ['epoch', 'learning rate', 'train loss', 'test loss', 'top-1']
  lines = [f'| {" | ".join(row)} |' for row in curve(recipe, config)]
  return table.page(
    f'## `configs/{recipe}.py`',
    f'`{config.model.name}` at width {config.model.width:g}, '
    f'{config.data.image_size}², {config.train_for}, batch '
    f'{config.batch_size}, {config.precision}.',
    f'**Top-1 {result["top1"]:.4f}** of {result["count"]} images, '
    f'{result["images_per_sec"]:.0f} images/s in training.',
    columns,
    lines,
    beside,
  )


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--data', required=True, help='folder of the images')
  parser.add_argument('--torch', help='Python with torch and torchvision')
  parser.add_argument(
    '--set', nargs='*', default=[], help='KEY=VALUE of config'
  )
  args = parser.parse_args()
  data = str(pathlib.Path(args.data).resolve())
  overrides = {}
  for pair in args.set:
    key, _, value = pair.partition('=')
    overrides[key] = int(value) if value.isdigit() else value
  on_cpu = jax.default_backend() == 'cpu'
  recipes = ('cifar10_cpu_inception_v3',) if on_cpu else _ACCELERATED
  if not on_cpu:
    overrides = {'precision': 'bfloat16', 'train_for': '50 epochs', **overrides}
  RUNS.mkdir(parents=True, exist_ok=True)
  sections = []
  for recipe in recipes:
    config = resolved(recipe, data, overrides)
    result = train(recipe, data, overrides)
    notes = []
    if on_cpu and args.torch:
      peer = in_pytorch(args.torch, config)
      ours = curve(recipe, config)[EPOCHS - 1]
      notes.append(
        f'After {EPOCHS} epochs in PyTorch, from the same weights (logits '
        f'equal to {peer["difference"]:.0e}) with the same learning rates: '
        f'top-1 {peer["top1"]:.4f}, test loss {peer["loss"]:.4f}, '
        f'{peer["images_per_sec"]:.0f} images/s. Here: {ours[4]}, {ours[3]}, '
        f'{result["images_per_sec"]:.0f}.'
      )
    sections.append(section(recipe, config, result, notes))
  page = '\n'.join(
    [
      '# CIFAR-10, trained to the end',
      '',
      f'`make cifar10 DATA=DIR` on {hardware.machine()}.',
      '',
      _EXPLAINED,
      *sections,
      f'- {table.versions(args.torch or sys.executable)}',
    ]
  )
  print(page)
  (run.ROOT / 'benchmarks' / 'cifar10.md').write_text(page)
  return 0


if __name__ == '__main__':
  sys.exit(main())
