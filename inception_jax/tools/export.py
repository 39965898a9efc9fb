"""Exports a trained network to another framework.

python -m inception_jax.tools.export --workdir=runs/v4 --format=timm \\
    --output=v4.safetensors

`timm` writes a safetensors file for `timm.create_model(…).load_state_dict(…,
strict=True)`, `mindcv` a .ckpt for `mindspore.load_checkpoint`. The file is
read back and compared with the network before it gets its name.
"""

import os

from absl import flags
from ml_collections import config_flags

from inception_jax import cli
from inception_jax.config import UserError

FLAGS = flags.FLAGS
_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The recipe of the run; checked with its checkpoint.'
)
_WORKDIR = flags.DEFINE_string('workdir', '', 'The folder of the run.')
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'latest', 'latest, best, a step, or the path of a checkpoint.'
)
_FORMAT = flags.DEFINE_string('format', '', 'timm or mindcv.')
_OUTPUT = flags.DEFINE_string('output', '', 'The file to be made.')


def main():
  """Restores, writes beside the output, compares, renames."""
  output = os.path.expanduser(_OUTPUT.value)
  workdir = os.path.expanduser(_WORKDIR.value)

  from inception_jax import preflight
  from inception_jax import pretrained
  from inception_jax import sharding
  from inception_jax import weights as weights_lib

  file_format, which = _FORMAT.value, _CHECKPOINT.value
  known = ', '.join(weights_lib.FORMATS)
  faults = []
  if not workdir and '/' not in which:
    faults.append('--workdir is missing: the folder of the run to export')
  if file_format not in weights_lib.FORMATS:
    faults.append(f'--format={file_format}: expected one of {known}')
  if not output:
    faults.append('--output is missing: the file to be made')
  elif os.path.lexists(output):
    faults.append(f'--output={output} is there already')
  elif fault := preflight.cannot_write(
    os.path.dirname(os.path.abspath(output))
  ):
    faults.append(f'--output={output} cannot be written: {fault}')
  if faults:
    raise UserError(*faults)

  step, weights = pretrained.find(
    workdir, which, sharding.make_mesh(), config=_CONFIG.value
  )
  weights = weights_lib.fitting(weights, file_format)
  os.makedirs(os.path.dirname(os.path.abspath(output)), exist_ok=True)
  with cli.whole_or_nothing(output) as unfinished:
    count = weights_lib.save(weights, unfinished, file_format)
    difference = weights_lib.difference(weights, weights_lib.load(unfinished))
    if difference:
      raise RuntimeError(f'{output} reads back {difference} off')
  return {
    'step': step,
    'format': file_format,
    'output': output,
    'parameters': count,
    'bytes': os.path.getsize(output),
    'max_abs_diff': difference,
  }


if __name__ == '__main__':
  cli.run(main)
