"""Measures a part of a training against what a user would take instead.

python -m benchmarks.run --what=input \
    --torch=.venv-torch/bin/python

python -m benchmarks.run --what=checkpoint \
    --config=configs/inception_v3.py --config.data.source=synthetic \
    --config.batch_size=8

python -m benchmarks.run --what=evaluation \
    --config=configs/inception_v3.py --config.batch_size=16

python -m benchmarks.run --what=export \
    --config=configs/inception_v3.py --torch=.venv-torch/bin/python

python -m benchmarks.run --what=step \
    --config=configs/inception_v4.py --config.batch_size=8 \
    --config.precision=float32 --torch=.venv-torch/bin/python

python -m benchmarks.run --what=step \
    --config=configs/inception_v4.py --config.batch_size=8 \
    --config.precision=float32 --mindspore=.venv-mindspore/bin/python

python -m benchmarks.run --what=compile \
    --config=configs/inception_v4.py --topology=v5e:2x4

python -m benchmarks.run --what=loop \
    --config=configs/inception_v3.py --config.data.source=synthetic \
    --config.batch_size=8 --config.precision=float32

python -m benchmarks.run --what=start \
    --config=configs/inception_v3.py --config.data.source=synthetic \
    --config.batch_size=8 --config.precision=float32

`make bench` makes that environment first and keeps the result in benchmarks/.
Both sides run in turns, as often as `--rounds` says, and each figure is the
median: ratios can be compared between machines, images per second cannot.
"""

import logging
import os
import tempfile

from absl import flags
from ml_collections import config_flags

from inception_jax.errors import UserError
from inception_jax.report import ledger
from inception_jax.runtime import cli

log = logging.getLogger(__name__)

FLAGS = flags.FLAGS

_CONFIG = config_flags.DEFINE_config_file(
  'config', 'configs/inception_v4.py', 'The recipe that is measured.'
)

_WHAT = flags.DEFINE_enum(
  'what',
  'input',
  [
    'input',
    'step',
    'compile',
    'loop',
    'start',
    'checkpoint',
    'evaluation',
    'export',
  ],
  'What is measured.',
)

_TORCH = flags.DEFINE_string(
  'torch', '.venv-torch/bin/python', 'A Python that has torchvision.'
)

_TOPOLOGY = flags.DEFINE_string(
  'topology', 'v5e:2x4', 'With --what=compile: chips and how they lie.'
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

_MINDSPORE = flags.DEFINE_string(
  'mindspore',
  '',
  'A Python that has mindspore and mindcv: with --what=step for MindCV in '
  'place of PyTorch, with --what=export for a MINDIR, too.',
)

_LEDGER = flags.DEFINE_string('ledger', '', 'A CSV file to add a line to.')

_PHOTOS = 512


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
      return _input(config, rounds)
    case 'step':
      from benchmarks import step

      return step.measure(config, rounds, _theirs(config))
    case 'compile':
      from benchmarks import compile

      return compile.measure(config, _TOPOLOGY.value)
    case 'loop':
      from benchmarks import loop

      return loop.measure(config, rounds, _STEPS.value)
    case 'start':
      from benchmarks import start

      changes = config_flags.get_override_values(FLAGS['config'])
      args = [f'--config={config_flags.get_config_filename(FLAGS["config"])}']
      args += [f'--config.{key}={value}' for key, value in changes.items()]
      return start.measure(args, rounds)
    case 'checkpoint':
      from benchmarks import checkpoint

      return checkpoint.measure(config, rounds, _STEPS.value)
    case 'evaluation':
      from benchmarks import evaluation

      return evaluation.measure(config, rounds)
    case 'export':
      from benchmarks import export

      if faults := _mindspore_faults():
        raise UserError(*faults)
      return export.measure(config, rounds, _torch(), _MINDSPORE.value)


def _theirs(config):
  """The other side of --what=step."""
  from benchmarks.step import Theirs

  if not _MINDSPORE.value:
    return Theirs(_torch(), _NETWORK.value, _TORCH_COMPILE.value)
  faults = _mindspore_faults()
  if config.precision != 'float32':
    faults.append('--mindspore computes in --config.precision=float32 alone')
  if _NETWORK.value or _TORCH_COMPILE.value:
    faults.append('--network and --torch_compile are of PyTorch')
  if faults:
    raise UserError(*faults)
  return Theirs(_MINDSPORE.value, mindcv=True)


def _mindspore_faults() -> list[str]:
  from inception_jax.export import mindir

  python = _MINDSPORE.value
  fault = python and mindir.missing(python)
  return [f'--mindspore={python} {fault}'] if fault else []


def _torch() -> str:
  if not os.access(_TORCH.value, os.X_OK):
    raise UserError(
      f'--torch={_TORCH.value} is no Python: `make bench` makes one'
    )
  return _TORCH.value


def _input(config, rounds: int) -> dict:
  """Makes the images, or takes the user's, and measures the input."""
  from benchmarks import input

  torch = _torch()
  with tempfile.TemporaryDirectory() as folder:
    where = os.path.expanduser(_DATA_DIR.value)
    if not where:
      log.info('making %d photographs', _PHOTOS)
      where = os.path.join(folder, 'photos', 'train')
      input.write_photos(where, _PHOTOS)
    return input.measure(
      config, where, torch, rounds, _BATCHES.value, _LISTED.value
    )


if __name__ == '__main__':
  cli.run(main)
