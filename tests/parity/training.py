"""Compares the losses of the first training steps with PyTorch's.

  make parity-training CLONES=DIR         # writes benchmarks/training.md
  make parity-training ARGS=--only=timm-inception_v4-sgd

Both sides start from the same weights and use the same batches, label
smoothing, weight decay on kernels and auxiliary loss. Our training step in
float32 and in bfloat16 is compared with torch's SGD with momentum and timm's
RMSpropTF, in float32. The 32×32 network needs a clone, as in run.py. The losses
of a finished row are stored in runs/training, and the row is not run again. The
exit status is 1 if a difference exceeds its bound.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time

import jax
import numpy as np
import optax

from configs import default
from inception_jax.distributed import sharding
from inception_jax.models import factory
from inception_jax.runtime import cli
from inception_jax.runtime import hardware
from inception_jax.training import train_state
from inception_jax.training.trainer import Trainer
from inception_jax.weights import importer
from tests.parity import cases
from tests.parity import formula
from tests.parity import run
from tests.parity import table

BOUNDS = {'float32': 1e-3, 'bfloat16': 5e-2}
NETWORKS = (
  ('weiaicunzai-cifar_inception_v3', 32),
  ('timm-inception_v3', 299),
  ('timm-inception_v4', 299),
)
_EXPLAINED = """\
Both sides start from the same weights, computed by a formula, and train on the
same batches with the same step: label smoothing 0.1, weight decay 4e-5 on
kernels, the auxiliary loss if the network has one, no dropout, no augmentation;
momentum 0.9; RMSProp with ε 1.0. Each figure is the largest relative difference
of the loss over all steps, from PyTorch in float32.
"""


def train(weights, size: int, optimizer: str, precision: str) -> list[float]:
  """Returns the loss of each step of our training."""
  config = default.get_config()
  config.update(
    {
      'batch_size': cases.training_batch(size),
      'precision': precision,
      'weight_decay': cases.WEIGHT_DECAY,
      'label_smoothing': cases.SMOOTHING,
      'aux_loss_weight': cases.AUX_LOSS_WEIGHT,
    }
  )
  config.model.update(
    {
      'name': weights.network.name,
      'aux_head': weights.network.aux_head,
      'stem': weights.network.stem,
      'dropout_rate': 0.0,
    }
  )
  config.data.update({'image_size': size, 'flip': False})
  config.optimizer.name = optimizer
  config = factory.resolve(config, weights.network, weights.card)
  config.data.mean = config.data.std = (127.5,) * 3
  mesh = sharding.make_mesh(jax.devices()[:1])
  rate = optax.constant_schedule(cases.RATES[optimizer])
  trainer = Trainer(config, mesh, cases.NUM_CLASSES, rate)
  state = train_state.fine_tune(trainer.init(), weights)
  step, losses = trainer.compile(), []
  for i in range(cases.STEPS):
    images, labels = formula.training_batch(cases.training_batch(size), size, i)
    batch = {'image': images, 'label': labels}
    state, sums = step(state, sharding.to_global(mesh, batch))
    losses.append(float(sums['loss'] / sums['count']))
  return losses


def row(
  case, size: int, optimizer: str, clone: str, folder
) -> tuple[str, bool]:
  """Returns a row of the table, and whether it is within the bounds."""
  stored = run.ROOT / 'runs' / 'training' / f'{case.name}-{optimizer}.npz'
  if not stored.exists():
    out, file = folder / 'out.npz', folder / f'weights{case.suffix}'
    run.run_reference(case, size, clone, out, save=file, optimizer=optimizer)
    weights = importer.load(str(file))
    with np.load(out) as npz:
      losses = {'theirs': npz['losses']}
    for precision in BOUNDS:
      losses[precision] = train(weights, size, optimizer, precision)
      print(f'{time.ctime()} {precision} done', file=sys.stderr, flush=True)
    stored.parent.mkdir(parents=True, exist_ok=True)
    np.savez(stored, **losses)
  with np.load(stored) as npz:
    expected = npz['theirs']
    differences = {
      precision: float(np.max(np.abs(npz[precision] - expected) / expected))
      for precision in BOUNDS
    }
  ok = all(differences[kind] <= bound for kind, bound in BOUNDS.items())
  cells = [
    case.network,
    case.source,
    f'{size}²',
    optimizer,
    str(len(expected)),
    f'{expected[0]:.4f} … {expected[-1]:.4f}',
    *(f'{differences[precision]:.1e}' for precision in BOUNDS),
    'ok' if ok else 'OVER',
  ]
  return f'| {" | ".join(cells)} |', ok


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--only', default='', help='part of a row: NETWORK-OPT')
  parser.add_argument('--clones', default='', help='a folder of repositories')
  args = parser.parse_args()
  todo = [
    (cases.named(name), size, optimizer)
    for name, size in NETWORKS
    for optimizer in cases.RATES
    if args.only in f'{name}-{optimizer}'
  ]
  cli.use_compilation_cache()
  lines, notes, all_ok, begin = [], [], True, time.time()
  for i, (case, size, optimizer) in enumerate(todo, 1):
    name = f'{case.name} {size} {optimizer}'
    clone = run.clone_of(case, args.clones)
    if case.clone and not clone:
      notes.append(f'{name}: not compared, since CLONES= is not set')
      continue
    print(f'{i} of {len(todo)}: {name}', file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
      line, ok = row(case, size, optimizer, clone, pathlib.Path(folder))
    minutes = (time.time() - begin) / 60
    print(f'{line} after {minutes:.0f} min', file=sys.stderr, flush=True)
    lines.append(line)
    all_ok &= ok
  bounds = '; '.join(f'{kind} {bound:g}' for kind, bound in BOUNDS.items())
  command = 'make parity-training' + ' CLONES=DIR' * bool(args.clones)
  columns = ['network', 'source', 'size', 'optimizer', 'steps', 'PyTorch loss']
  columns += [*BOUNDS, '']
  text = table.page(
    '# Losses of the first training steps, compared with PyTorch',
    f'`{command}` on {hardware.machine()}.',
    f'{_EXPLAINED}\nBounds: {bounds}.',
    columns,
    lines,
    [*notes, table.versions(sys.executable)],
  )
  print(text)
  if not args.only:
    (run.ROOT / 'benchmarks' / 'training.md').write_text(text)
  return 0 if all_ok else 1


if __name__ == '__main__':
  os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  sys.exit(main())
