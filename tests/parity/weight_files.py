"""Imports and fine-tunes weights of every kind of file.

  make parity                # also writes benchmarks/weights.md
  .venv-torch/bin/python -m tests.parity.weight_files --only=Keras

Each file is written by the real packages, as their users do (torch_files.py,
keras_files.py, fid_files.py). `tools.import_weights` imports it, the features
or logits of the imported network are compared with the package's, and main.py
fine-tunes it for three steps. If a difference exceeds its bound or a loss is
not finite, the exit status is 1 and no page is written.
"""

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np
import torch
from torch import nn

from inception_jax import errors
from inception_jax.data.augment import transforms
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.models import card as card_lib
from inception_jax.runtime import cli
from inception_jax.runtime import hardware
from inception_jax.weights import importer
from inception_jax.weights import pretrained
from tests.parity import fid_files
from tests.parity import formula
from tests.parity import keras_files
from tests.parity import run
from tests.parity import table
from tests.parity import torch_files
from tests.support import commands

SIZE = 75
# Rows of an interrupted run, which the same command continues.
DONE = run.ROOT / 'runs' / 'weight_files.json'
BOUND = 1e-5
KINDS = (
  fid_files.KINDS
  | torch_files.KINDS
  | keras_files.KINDS
  | torch_files.OTHER_NETWORKS
)
_EXPLAINED = f"""\
Each file is written by the package that it is of, with random weights. It is
imported by `tools.import_weights`. The difference is that of the logits, or of
the features without a classifier, from the package's for two images of noise,
relative to the largest; the bound is {BOUND:g}. `main.py` then fine-tunes the
imported network for three steps, with configs/fine_tune_folder.py: batch 4,
five classes. Images have {SIZE}×{SIZE} pixels, in the comparison of FID's
networks 299×299.
"""


@functools.cache
def _forward(network):
  return jax.jit(architectures.create(network).apply)


def outputs(weights, pixels, changes=()) -> dict[str, np.ndarray]:
  """Returns features of imported weights, and logits if there is a classifier.

  All heads share a compiled network. `changes` are those of the card.
  """
  card = dataclasses.replace(weights.card, **dict(changes))
  images = transforms.normalize(pixels, card_lib.to_config(card))
  variables = jax.tree.map(lambda x: x, weights.variables)
  head = variables['params'].pop('head', {'dense': None})['dense']
  variables['params'].pop('aux', None)
  variables['batch_stats'].pop('aux', None)
  network = dataclasses.replace(weights.network, num_classes=0, aux_head=False)
  features = np.asarray(_forward(network)(variables, images)[0])
  found = {'features': features}
  if head:
    found['logits'] = features @ head['kernel'] + head['bias']
  return found


def _of_module(module: nn.Module):
  """Returns pixels → the output for images in [−1, 1]."""

  def apply(pixels):
    images = (pixels.astype(np.float32) - 127.5) / 127.5
    with torch.no_grad():
      nchw = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
      return module.eval()(nchw).numpy()

  return apply


def _result_of(*arguments, program=('main.py',)):
  """Runs a command of this project; returns its result."""
  done = subprocess.run(**commands.command(*arguments, program=program))
  if done.returncode:
    raise RuntimeError(f'{" ".join(arguments)} failed: {done.stderr[-2000:]}')
  return json.loads(done.stdout.splitlines()[-1])


def imported(path: str, folder):
  """Imports a file by the command; returns its result and the weights."""
  output = folder / 'imported'
  result = _result_of(
    f'--weights={path}',
    f'--output={output}',
    program=('-m', 'inception_jax.tools.import_weights'),
  )
  mesh = sharding.make_mesh(jax.devices()[:1])
  return result, pretrained.restore('', str(output), mesh, headless=True)[1]


def fine_tuned(folder, channels: int) -> list[float]:
  """Returns the losses of three steps from the imported weights."""
  workdir = folder / 'tuned'
  _result_of(
    '--config=configs/fine_tune_folder.py',
    f'--workdir={workdir}',
    f'--config.fine_tune.checkpoint={folder / "imported"}',
    '--config.data.source=synthetic',
    '--config.data.eval_split=test',
    f'--config.data.channels={channels}',
    f'--config.data.image_size={SIZE}',
    f'--config.model.num_classes={torch_files.CLASSES}',
    '--config.batch_size=4',
    '--config.train_for=3 steps',
    '--config.log_every=1 steps',
    '--config.schedule.warmup=0 steps',
    '--config.schedule.learning_rate=1e-4',
  )
  lines = map(json.loads, (workdir / 'metrics.jsonl').read_text().splitlines())
  return [line['loss'] for line in lines if line['split'] == 'train']


def check(make, size: int, folder) -> tuple[str, bool]:
  """Returns the cells of a row, and whether everything is as it should be."""
  path, reference, *changes = make(folder)
  if isinstance(reference, nn.Module):
    reference = _of_module(reference)
  result, weights = imported(path, folder)
  channels = len(weights.card.mean)
  pixels = formula.training_batch(2, size, 0)[0][..., :channels]
  expected = reference(pixels)
  found, differences = outputs(weights, pixels, *changes), {}
  for array in expected if isinstance(expected, list) else [expected]:
    (kind,) = (k for k, x in found.items() if x.shape == array.shape)
    distance = np.abs(found[kind] - array).max()
    differences[kind] = distance / np.abs(array).max()
  losses = fine_tuned(folder, channels)
  cells = [
    os.path.basename(path),
    result['origin'],
    str(result['model']['num_classes'] or '–'),
    ', '.join(f'{kind} {x:.1e}' for kind, x in differences.items()),
    ', '.join(f'{loss:.3f}' for loss in losses),
  ]
  right = max(differences.values()) <= BOUND and np.isfinite(losses).all()
  return ' | '.join(cells), right


def refused(content, folder) -> str:
  path = torch_files.save(content, folder)
  try:
    importer.load(path)
  except UserError as error:
    (line,) = error.faults
    assert '\\x1b' not in line, line
    return line.replace(str(folder), '…')
  raise AssertionError('imported')


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--only', default='', help='parts of names, with ;')
  args = parser.parse_args()
  parts = args.only.split(';')
  chosen = {k: x for k, x in KINDS.items() if any(part in k for part in parts)}
  cli.use_compilation_cache()
  DONE.parent.mkdir(parents=True, exist_ok=True)
  done = json.loads(DONE.read_text()) if DONE.exists() else {}
  todo = {name: make for name, make in chosen.items() if name not in done}
  wrong, begin = 0, time.time()
  for i, (name, make) in enumerate(todo.items()):
    with tempfile.TemporaryDirectory() as folder:
      size = fid_files.SIZE if name in fid_files.KINDS else SIZE
      try:
        cells, right = check(make, size, pathlib.Path(folder))
      except Exception as error:  # the other rows still run
        cells = f'FAILED: {errors.one_line(error)} |' + ' |' * 3
        right = False
    row = f'| {name} | {cells} |'
    wrong += not right
    if right:
      done[name] = row
      DONE.write_text(json.dumps(done))
    left = (time.time() - begin) / (i + 1) * (len(todo) - i - 1) / 60
    print(f'{row} {left:.0f} min left', file=sys.stderr, flush=True)
  if wrong:
    print(f'{wrong} kinds failed, see above', file=sys.stderr)
    return 1
  notes = []
  model = torch_files.torchvision_v3()
  four = torch_files.timm_channels(4)
  for content in (model, {'state_dict': {}, 'x': os.system}, four.state_dict()):
    with tempfile.TemporaryDirectory() as folder:
      notes.append(f'refused: {refused(content, pathlib.Path(folder))}')
  text = table.page(
    '# Weights of every kind of file',
    f'`python -m tests.parity.weight_files`, part of `make parity`, on '
    f'{hardware.machine()}, in float32, {time.strftime("%Y-%m-%d")}.',
    _EXPLAINED,
    ['kind', 'file', 'read as', 'classes', 'difference', 'losses'],
    [done[name] for name in chosen],
    [*notes, table.versions(sys.executable)],
  )
  print(text)
  if not args.only:
    (run.ROOT / 'benchmarks' / 'weights.md').write_text(text)
    DONE.unlink()  # the next run measures everything again
  return 0


if __name__ == '__main__':
  os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  sys.exit(main())
