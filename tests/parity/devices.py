"""Trains the CPU's CIFAR-10 recipe on one device and on four.

  make parity-devices DATA=DIR    # writes benchmarks/devices.md

DIR has CIFAR-10's images as files, in train/CLASS and test/CLASS. Both
trainings see the same batches: --steps= of them in float32, --exact_steps= in
float64, whose convolutions take many times as long.
"""

import argparse
import contextlib
import pathlib
import sys
import unittest.mock

import jax
import jmp
import numpy as np

from inception_jax.config import durations
from inception_jax.data import pipeline
from inception_jax.data.sources import registry
from inception_jax.distributed import sharding
from inception_jax.models import layers
from inception_jax.models import precision
from inception_jax.runtime import hardware
from inception_jax.training import schedules
from inception_jax.training.trainer import Trainer
from tests.parity import cifar10
from tests.parity import run
from tests.parity import table

DEVICES = 4
RECIPE = 'cifar10_cpu_inception_v3'
# Draws belong to places in the batch, which `permuted` exchanges.
_UNAUGMENTED = {'data.pad': 0, 'data.flip': False}
BOUND = 1e-4  # relative, of the loss of each step in float64
_EXPLAINED = """\
Both trainings have the same first weights, learning rates and batches, without
augmentation; the four devices share each batch. A cell is the largest relative
difference between their losses so far. In float32, sums of another order round
otherwise, a rounding moves inputs of ReLUs to the other side of 0, and such a
change grows from step to step: the column `permuted` is one device against
itself, with the images of each batch in reverse order, which is the same
mathematics. In float64 the layers round at 1e-16, and what remains is the
difference between what the devices compute; the parameters stay float32.
"""


@contextlib.contextmanager
def float64():
  """Layers compute in float64 inside; there is no such option for users."""
  policy = jmp.get_policy('params=float64,compute=float64,output=float64')
  with (
    unittest.mock.patch.object(precision, 'policy', lambda _: policy),
    unittest.mock.patch.object(layers, '_FLOAT32', policy),
    jax.enable_x64(True),
  ):
    yield


def train(config, split, devices: int, steps: int, reverse=False):
  """Returns the mean loss of each step, float64 [steps], and the parameters."""
  mesh = sharding.make_mesh(jax.devices()[:devices])
  plan = durations.plan(config, split.size)
  rate = schedules.make_schedule(config.schedule, config.batch_size, plan)
  trainer = Trainer(config, mesh, len(split.class_names), rate)
  state, step = trainer.init(), trainer.step()
  batches = pipeline.train_batches(split, config, 0, range(config.batch_size))
  losses = []
  for i in range(steps):
    batch = next(batches)
    if reverse:
      batch = {key: value[::-1] for key, value in batch.items()}
    state, metrics = step(state, sharding.to_global(mesh, batch))
    losses.append(float(metrics['loss']) / float(metrics['count']))
    if not (i + 1) % 10:
      print(f'{devices} devices, step {i + 1}: {losses[-1]}', file=sys.stderr)
  return np.array(losses), jax.device_get(state.params)


def changed(before, after) -> str:
  """Says how many parameters differ in any bit."""
  pairs = [*zip(*map(jax.tree.leaves, (before, after)), strict=True)]
  count = sum(np.count_nonzero(a != b) for a, b in pairs)
  return f'{count:,} of {sum(a.size for a, _ in pairs):,} parameters differ'


def differences(one, other) -> np.ndarray:
  """Returns the largest relative difference up to each step."""
  return np.maximum.accumulate(np.abs(one - other) / one)


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--data', required=True, help='folder of the images')
  parser.add_argument('--steps', type=int, default=200)
  parser.add_argument('--exact_steps', type=int, default=20)
  parser.add_argument('--batch_size', type=int, default=16)
  args = parser.parse_args()
  jax.config.update('jax_num_cpu_devices', DEVICES)
  data = str(pathlib.Path(args.data).resolve())
  config = cifar10.resolved(
    RECIPE, data, {**_UNAUGMENTED, 'batch_size': args.batch_size}
  )
  split = registry.load(config, config.data.train_split)
  steps, exact = args.steps, args.exact_steps
  one, params = train(config, split, 1, steps)
  four, others = train(config, split, DEVICES, steps)
  permuted, _ = train(config, split, 1, steps, reverse=True)
  notes = [f'After {steps} steps in float32: {changed(params, others)}.']
  with float64():
    one_exact, params = train(config, split, 1, exact)
    four_exact, others = train(config, split, DEVICES, exact)
  notes.append(f'After {exact} steps in float64: {changed(params, others)}.')
  columns = {
    'float32': differences(one, four),
    'float32, permuted': differences(one, permuted),
    'float64': differences(one_exact, four_exact),
  }
  lines = []
  for step in sorted(
    {1, 2, 5, 10, 20, 50, 100, 200, steps} & {*range(steps + 1)}
  ):
    cells = [
      f'{c[step - 1]:.1e}' if step <= len(c) else '–' for c in columns.values()
    ]
    lines.append(f'| {step} | {" | ".join(cells)} |')
  page = table.page(
    '# One device and four',
    f'`make parity-devices DATA=DIR` on {hardware.machine()}: '
    f'`configs/{RECIPE}.py` with batches of {args.batch_size}, '
    f'{DEVICES} devices of the CPU.',
    _EXPLAINED,
    ['step', *columns],
    lines,
    [*notes, table.versions(sys.executable)],
  )
  print(page)
  (run.ROOT / 'benchmarks' / 'devices.md').write_text(page)
  return int(columns['float64'][-1] > BOUND)


if __name__ == '__main__':
  sys.exit(main())
