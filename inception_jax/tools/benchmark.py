"""Measures a part of a training against what a user would take instead.

python -m inception_jax.tools.benchmark --what=input \\
    --torch=.venv-torch/bin/python

python -m inception_jax.tools.benchmark --what=checkpoint \\
    --config=configs/inception_v3.py --config.data.source=synthetic \\
    --config.batch_size=8

python -m inception_jax.tools.benchmark --what=evaluation \\
    --config=configs/inception_v3.py --config.batch_size=16

python -m inception_jax.tools.benchmark --what=export \\
    --config=configs/inception_v3.py --torch=.venv-torch/bin/python

python -m inception_jax.tools.benchmark --what=step \\
    --config=configs/inception_v4.py --config.batch_size=8 \\
    --config.precision=float32 --torch=.venv-torch/bin/python

python -m inception_jax.tools.benchmark --what=loop \\
    --config=configs/inception_v3.py --config.data.source=synthetic \\
    --config.batch_size=8 --config.precision=float32

python -m inception_jax.tools.benchmark --what=start \\
    --config=configs/inception_v3.py --config.data.source=synthetic \\
    --config.batch_size=8 --config.precision=float32

`make bench` makes that environment first and keeps the result in benchmarks/.
Both sides run in turns, as often as `--rounds` says, and each figure is the
median: ratios can be compared between machines, images per second cannot.
"""

import json
import logging
import os
import pathlib
import statistics
import subprocess
import tempfile

from absl import flags
from ml_collections import config_flags

from inception_jax import cli
from inception_jax.config import UserError
from inception_jax.tools import benchmark_input
from inception_jax.tools import ledger

log = logging.getLogger(__name__)

FLAGS = flags.FLAGS
_CONFIG = config_flags.DEFINE_config_file(
  'config', 'configs/inception_v4.py', 'The recipe that is measured.'
)
_WHAT = flags.DEFINE_enum(
  'what',
  'input',
  ['input', 'step', 'loop', 'start', 'checkpoint', 'evaluation', 'export'],
  'What is measured.',
)
_TORCH = flags.DEFINE_string(
  'torch', '.venv-torch/bin/python', 'A Python that has torchvision.'
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir', '', 'A folder of class folders of JPEGs; empty: made here.'
)
_ROUNDS = flags.DEFINE_integer(
  'rounds', 3, 'Turns of each side.', lower_bound=1
)
_BATCHES = flags.DEFINE_integer('batches', 10, 'Of 128, a turn.', lower_bound=1)
_STEPS = flags.DEFINE_integer(
  'steps', 20, 'Of a turn, with --what=checkpoint or loop.', lower_bound=2
)
_LISTED = flags.DEFINE_integer(
  'listed', 1_281_167, 'Files whose list has to fit into memory: ImageNet.'
)
_NETWORK = flags.DEFINE_string(
  'network',
  '',
  "With --what=step: timm's name of theirs, or FILE.py:FUNCTION that makes "
  'one; empty: as here.',
)
_TORCH_COMPILE = flags.DEFINE_bool(
  'torch_compile', False, 'With --what=step: they use torch.compile.'
)
_LEDGER = flags.DEFINE_string('ledger', '', 'A CSV file to add a line to.')

_BATCH = 128
_PHOTOS = 512
_EPOCHS = 10
_BASELINE = pathlib.Path(__file__).parent / 'torchvision_input.py'


def main():
  """Measures, notes."""
  cli.use_compilation_cache()
  what = _WHAT.value
  found = _measure(what, _CONFIG.value, _ROUNDS.value)
  rows = found if isinstance(found, list) else [{'what': what, **found}]
  for row in rows:
    ledger.note(_LEDGER.value, row)
  return {'what': what, 'rows': rows} if rows is found else rows[0]


def _measure(what: str, config, rounds: int) -> dict | list[dict]:
  match what:
    case 'input':
      return _input_of_photos()
    case 'step':
      from inception_jax.tools import benchmark_step

      theirs = _torch(), _NETWORK.value, _TORCH_COMPILE.value
      return benchmark_step.measure(config, rounds, *theirs)
    case 'loop':
      from inception_jax.tools import benchmark_loop

      return benchmark_loop.measure(config, rounds, _STEPS.value)
    case 'start':
      from inception_jax.tools import benchmark_start

      changes = config_flags.get_override_values(FLAGS['config'])
      args = [f'--config={config_flags.get_config_filename(FLAGS["config"])}']
      args += [f'--config.{key}={value}' for key, value in changes.items()]
      return benchmark_start.measure(args, rounds)
    case 'checkpoint':
      from inception_jax.tools import benchmark_checkpoint

      return benchmark_checkpoint.measure(config, rounds, _STEPS.value)
    case 'evaluation':
      from inception_jax.tools import benchmark_evaluation

      return benchmark_evaluation.measure(config, rounds)
    case 'export':
      from inception_jax.tools import benchmark_export

      return benchmark_export.measure(config, rounds, _torch())


def _torch() -> str:
  if not os.access(_TORCH.value, os.X_OK):
    raise UserError(
      f'--torch={_TORCH.value} is no Python: `make bench` makes one'
    )
  return _TORCH.value


def _input_of_photos() -> dict:
  """Makes the images, or takes the user's, and measures the input."""
  _torch()
  with tempfile.TemporaryDirectory() as folder:
    where = os.path.expanduser(_DATA_DIR.value)
    if not where:
      log.info('making %d photographs', _PHOTOS)
      where = os.path.join(folder, 'photos', 'train')
      benchmark_input.write_photos(where, _PHOTOS)
    return _input(where, folder)


def _input(folder: str, scratch: str) -> dict:
  """Ratios of the input pipeline, and the memory that it takes."""
  from inception_jax import models
  from inception_jax.data import pipeline
  from inception_jax.data import sources

  config = models.resolve(_CONFIG.value)
  config.data.source, config.data.dir = 'folder', os.path.dirname(folder)
  config.data.train_split = os.path.basename(folder)
  config.batch_size = _BATCH
  split = sources.load(config, config.data.train_split)
  batches = lambda: pipeline.train_batches(split, config, 0, range(_BATCH))
  sides = {
    'ours': batches,
    'same_crops_alone': lambda: benchmark_input.bare(split, config, True),
    'decoding_alone': lambda: benchmark_input.bare(split, config, False),
  }
  rounds = []
  for i in range(_ROUNDS.value):
    log.info('round %d of %d', i + 1, _ROUNDS.value)
    theirs = _torchvision(folder, config.data.image_size)
    versions = theirs.pop('versions')
    figures = {f'torchvision_{end}': rate for end, rate in theirs.items()}
    for name, stream in sides.items():
      figures[name] = benchmark_input.rate(stream, _BATCH, _BATCHES.value)
    rounds.append(figures)
  rates = {
    name: statistics.median(figures[name] for figures in rounds)
    for name in rounds[0]
  }
  return {
    **{f'times_{n}': _ratio(rounds, n) for n in rates if n != 'ours'},
    'images_per_sec': {name: round(rate) for name, rate in rates.items()},
    **_memory(config, folder, scratch, split.size, batches()),
    'versions': versions,
  }


def _ratio(rounds, name: str) -> float:
  ratios = [figures['ours'] / figures[name] for figures in rounds]
  return round(statistics.median(ratios), 2)


def _torchvision(folder: str, size: int) -> dict:
  args = [_TORCH.value, _BASELINE, folder, size, _BATCH, _BATCHES.value]
  done = subprocess.run(map(str, args), capture_output=True, text=True)
  if done.returncode:
    raise RuntimeError(f'torchvision failed:\n{done.stderr[-2000:]}')
  return json.loads(done.stdout.splitlines()[-1])


def _memory(config, folder: str, scratch: str, images: int, stream) -> dict:
  """Growth over epochs, then all of it with a list as long as ImageNet's."""
  from inception_jax.data import pipeline
  from inception_jax.data import sources

  per_epoch = -(-images // _BATCH)
  for _ in range(2 * per_epoch):
    next(stream)
  before = benchmark_input.peak_memory()
  for _ in range((_EPOCHS - 2) * per_epoch):
    next(stream)
  growth = benchmark_input.peak_memory() - before
  benchmark_input.write_list(scratch, folder, _LISTED.value)
  config.data.dir, config.data.train_split = scratch, 'train'
  split = sources.load(config, 'train')
  stream = pipeline.train_batches(split, config, 0, range(_BATCH))
  next(stream)
  return {
    'files_listed': split.size,
    'memory_gb': round(benchmark_input.peak_memory() / 1e9, 2),
    'memory_growth_mb': round(growth / 1e6, 1),
  }


if __name__ == '__main__':
  cli.run(main)
