"""Measures speed, most often against another framework doing the same work.

python -m benchmarks.run --what=input --torch=.venv-torch/bin/python

python -m benchmarks.run --what=step \
    --config=configs/inception_v4.py --config.batch_size=8 \
    --config.precision=float32 --torch=.venv-torch/bin/python

`make bench`, `make bench-step` and so on create the environments that they need
and append the results to the .csv files in benchmarks/; the Makefile has the
command of each --what. Both sides alternate for `--rounds` rounds, and each
result is a median. Ratios can be compared between machines, images per second
cannot.
"""

import importlib
import os

from absl import flags
from ml_collections import config_flags

from inception_jax.errors import UserError
from inception_jax.report import ledger
from inception_jax.runtime import cli

FLAGS = flags.FLAGS
_PARTS = (
  'input bad_images step compile loop start checkpoint evaluation export '
  'fine_tune'
).split()
_CONFIG = config_flags.DEFINE_config_file(
  'config', 'configs/inception_v4.py', 'The recipe to measure.'
)
_WHAT = flags.DEFINE_enum('what', 'input', _PARTS, 'The part to measure.')
_TORCH = flags.DEFINE_string(
  'torch',
  '.venv-torch/bin/python',
  "Python with torch, torchvision and timm; for --what=step and input, '' "
  'measures our side alone.',
)
_TOPOLOGY = flags.DEFINE_string(
  'topology', 'v5e:2x4', 'For --what=compile: chip kind and slice shape.'
)
_DATA_DIR = cli.define_path(
  'data_dir', 'For --what=input: class folders of JPEGs; default: created.'
)
_ROUNDS = flags.DEFINE_integer(
  'rounds', 3, 'Repetitions of each side.', lower_bound=1
)
_BATCHES = flags.DEFINE_integer(
  'batches',
  10,
  'For --what=input and bad_images: of 128 images, per round.',
  lower_bound=1,
)
_STEPS = flags.DEFINE_integer(
  'steps', 20, 'For --what=checkpoint and loop: per round.', lower_bound=2
)
_LISTED = flags.DEFINE_integer(
  'listed', 1_281_167, 'For --what=input: length of the file list in memory.'
)
_NETWORK = flags.DEFINE_string(
  'network',
  '',
  "For --what=step: timm's name of the network to compare with, or "
  'FILE.py:FUNCTION that creates one; default: the name in the config.',
)
_TORCH_COMPILE = flags.DEFINE_enum(
  'torch_compile',
  'off',
  ['off', 'default', 'max-autotune'],
  "For --what=step: mode of PyTorch's torch.compile.",
)
_PASSES = flags.DEFINE_multi_enum(
  'passes',
  ['train', 'inference'],
  ['train', 'inference'],
  'For --what=step: what to measure; may be repeated.',
)
_TRAINED = flags.DEFINE_list(
  'trained',
  [],
  "For --what=fine_tune: sets of layers, as 'head' or 'all'; default: each.",
)
_MINDSPORE = flags.DEFINE_string(
  'mindspore',
  '',
  'Python with mindspore; for --what=step with mindcv, to compare with that '
  'instead of PyTorch; for --what=export to include MINDIR.',
)
_LEDGER = flags.DEFINE_string('ledger', '', 'CSV file to append the result to.')


def main():
  """Runs the benchmark, appends to the ledger and returns the result."""
  cli.use_compilation_cache()
  what = _WHAT.value
  result = _measure(what, _CONFIG.value, _ROUNDS.value)
  rows = result if isinstance(result, list) else [{'what': what, **result}]
  for row in rows:
    ledger.append(_LEDGER.value, row)
  return {'what': what, 'rows': rows} if rows is result else rows[0]


def _measure(what: str, config, rounds: int) -> dict | list[dict]:
  measure = importlib.import_module(f'benchmarks.{what}').measure
  match what:
    case 'input':
      sizes = (rounds, _BATCHES.value, _LISTED.value)
      return measure(config, _DATA_DIR.value, _torch(), *sizes)
    case 'bad_images':
      return measure(config, rounds, _BATCHES.value)
    case 'step':
      return measure(config, rounds, passes=_PASSES.value, **_peer(config))
    case 'compile':
      return measure(config, _TOPOLOGY.value)
    case 'loop' | 'checkpoint':
      return measure(config, rounds, _STEPS.value)
    case 'start':
      overrides = config_flags.get_override_values(FLAGS['config'])
      args = [f'--config={config_flags.get_config_filename(FLAGS["config"])}']
      args += [f'--config.{key}={value}' for key, value in overrides.items()]
      return measure(args, rounds)
    case 'evaluation':
      return measure(config, rounds)
    case 'fine_tune':
      return measure(config, rounds, _TRAINED.value)
    case 'export':
      if faults := _mindspore_faults():
        raise UserError(*faults)
      return measure(config, rounds, _torch(False), _MINDSPORE.value)


def _peer(config) -> dict:
  """Returns the arguments of `step.measure` about the peer."""
  if not _MINDSPORE.value:
    return {
      'python': _torch(),
      'network': _NETWORK.value,
      'torch_compile': _TORCH_COMPILE.value,
    }
  faults = _mindspore_faults('mindcv')
  if config.precision != 'float32':
    faults.append('--mindspore supports only --config.precision=float32')
  if _NETWORK.value or _TORCH_COMPILE.value != 'off':
    faults.append('--network and --torch_compile apply only to PyTorch')
  if faults:
    raise UserError(*faults)
  return {'python': _MINDSPORE.value, 'mindcv': True}


def _mindspore_faults(*others: str) -> list[str]:
  from inception_jax.export import mindir

  python = _MINDSPORE.value
  fault = python and mindir.cannot_export(python, *others)
  return [f'--mindspore={python} {fault}'] if fault else []


def _torch(or_none: bool = True) -> str:
  if or_none and not _TORCH.value:
    return ''
  if not os.access(_TORCH.value, os.X_OK):
    raise UserError(
      f'--torch={_TORCH.value} is not an executable Python interpreter; '
      '`make .venv-torch/ready` creates one'
    )
  return _TORCH.value


if __name__ == '__main__':
  cli.run(main)
