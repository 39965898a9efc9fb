"""Exports a trained network to other programs and frameworks.

python -m inception_jax.tools.export --workdir=runs/v4 --format=onnx \
    --output=v4.onnx

Formats that run without this framework:
- `onnx`: one file, NCHW, any batch, standard operators of opset 18.
- `stablehlo`: one file for cpu, cuda and tpu, with its parameters.
- `savedmodel`: a folder with two signatures, for normalized images and for
  encoded ones.
- `litert`: a .tflite for one image at a time, in float32.
- `litert_int8`: the same at a quarter of the size, with ranges from the images
  in `--calibration=`.
- `mindir`: one file for MindSpore, NCHW, any batch, written by the Python
  interpreter `--mindspore=`.

Weight files:
- `timm`: safetensors for `timm.create_model(…).load_state_dict(…)`, strict.
- `mindcv`: a .ckpt for `mindspore.load_checkpoint`.
- `hub`: a folder for the Hugging Face hub, which `timm.create_model` loads by
  hf-hub: or local-dir:, with a model card of what the run has measured.

Each file is read back and compared with the network before it is moved to
`--output=`; `max_abs_diff` is of logits, for weight files of weights.
"""

import logging
import os

from absl import flags
from ml_collections import config_flags
import numpy as np

from inception_jax.data import bad_images
from inception_jax.data import image_files
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.export import artifact
from inception_jax.export import formats
from inception_jax.models import card as card_lib
from inception_jax.runtime import cli
from inception_jax.runtime import files
from inception_jax.training import train_state
from inception_jax.weights import pretrained

log = logging.getLogger(__name__)

_MAX_CALIBRATION = 200  # images
_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'Recipe of the run; checked against its checkpoint.'
)
_WORKDIR = cli.define_path('workdir', 'Folder of the run.')
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'latest', 'latest, best, a step, or the path of a checkpoint.'
)
_WEIGHTS = flags.DEFINE_enum(
  'weights', 'ema', ['ema', 'raw'], 'Moving average, if any, or raw weights.'
)
_FORMAT = flags.DEFINE_string('format', '', 'One of the formats above.')
_CALIBRATION = cli.define_path(
  'calibration', 'Folder of images for the ranges of --format=litert_int8.'
)
_MINDSPORE = cli.define_path(
  'mindspore',
  'Python interpreter with mindspore and mindcv, for --format=mindir.',
  default='.venv-mindspore/bin/python',
)
_OUTPUT = cli.define_path('output', 'File or folder to create.')


def main():
  """Restores a network, exports it atomically and compares the result."""
  workdir, output = _WORKDIR.value, _OUTPUT.value
  mindspore = _MINDSPORE.value
  _check_flags(workdir, output, mindspore)
  mesh = sharding.make_mesh()
  step, weights = pretrained.restore(
    workdir, _CHECKPOINT.value, mesh, ema=_WEIGHTS.value == 'ema'
  )
  if _CONFIG.value is not None:
    pretrained.resolve(_CONFIG.value, weights)  # checks the network
  file_format = formats.FORMATS[_FORMAT.value]
  calibration = _calibration_images(weights.card)
  exported = file_format.without_unsupported(weights)
  log.info('exporting; a full-size network takes a minute or two')
  with files.atomic_path(output) as unfinished:
    read_back = file_format.save(
      exported, unfinished, step, calibration, mindspore
    )
    differences = file_format.compare(exported, read_back, calibration)
    formats.check_bound(_FORMAT.value, differences)
  return {
    'step': step,
    'format': _FORMAT.value,
    'output': output,
    'parameters': train_state.num_params(weights.variables['params']),
    'bytes': artifact.size_of(output),
    **differences,
  }


def _check_flags(workdir: str, output: str, mindspore: str) -> None:
  name, calibration = _FORMAT.value, _CALIBRATION.value
  file_format = formats.FORMATS.get(name)
  faults = []
  if not workdir and '/' not in _CHECKPOINT.value:
    faults.append('--workdir is missing: the folder of the run to export')
  if not file_format:
    known = ', '.join(formats.FORMATS)
    faults.append(f'--format={name}: expected one of {known}')
  elif fault := file_format.cannot_save(mindspore):
    faults.append(fault)
  if not output:
    faults.append('--output is missing: the file or folder to create')
  elif os.path.lexists(output):
    faults.append(f'--output={output} already exists')
  elif file_format and not output.endswith(file_format.ending):
    ending = file_format.ending
    faults.append(f'--output={output}: expected a name that ends in {ending}')
  elif fault := files.cannot_write(os.path.dirname(os.path.abspath(output))):
    faults.append(f'--output={output} cannot be written: {fault}')
  if calibration and not (file_format and file_format.calibrated):
    faults.append('--calibration applies only to --format=litert_int8')
  elif calibration and not os.path.exists(calibration):
    faults.append(f'--calibration={calibration}: no such folder')
  if faults:
    raise UserError(*faults)


def _calibration_images(card):
  """Reads at most `_MAX_CALIBRATION` images: uint8 [n, S, S, C].

  None if --calibration is not given.
  """
  if not _CALIBRATION.value:
    if _FORMAT.value == 'litert_int8':
      log.warning(
        'int8 is calibrated on two photographs and noise; for higher accuracy, '
        'pass a few hundred of your images as --calibration='
      )
    return None
  paths = image_files.find([_CALIBRATION.value])
  paths = paths[:: -(-len(paths) // _MAX_CALIBRATION)]  # from every class
  data = card_lib.to_config(card)
  images = []
  for path in paths:
    try:
      images.append(image_files.read(path, data))
    except Exception as error:  # each decoder raises its own
      log.warning('%s: %s', path, bad_images.one_line(error))
  if not images:
    raise UserError(f'--calibration={_CALIBRATION.value}: no readable image')
  log.info('calibrating on %d images', len(images))
  return np.stack(images)


if __name__ == '__main__':
  cli.run(main)
