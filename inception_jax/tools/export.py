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
- `air`: a folder with a .ckpt and `export_air.py`, which makes an AIR of it on
  an Ascend device, for one image at a time.

Weight files:
- `timm`: safetensors for `timm.create_model(…).load_state_dict(…)`, strict.
- `mindcv`: a .ckpt for `mindspore.load_checkpoint`.
- `hub`: a folder for the Hugging Face hub, which `timm.create_model` loads by
  hf-hub: or local-dir:, with a model card of what the run has measured.

`--image_size=` exports the network for images of another size than that of its
training; the card in the file says so. `--outputs=pooled,mixed_7c` adds end
points of the network to the logits; an unknown name lists them. `--softmax`
adds `probabilities`. With `--preprocess`, an ONNX takes `pixels`, uint8
[B, S, S, C], and normalizes them; the caller crops and resizes to S×S.
`--precision=float16` halves the file; images and outputs stay float32.

Each file is read back and compared with the network before it is moved to
`--output=`; `max_abs_diff` is of logits, for weight files of weights.
"""

import dataclasses
import logging
import os

from absl import flags
from ml_collections import config_flags
import numpy as np

from inception_jax.data import bad_images
from inception_jax.data import choices
from inception_jax.data import image_files
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.export import artifact
from inception_jax.export import formats
from inception_jax.export import outputs
from inception_jax.export.format import Options
from inception_jax.models import architectures
from inception_jax.models import card as card_lib
from inception_jax.models import metadata
from inception_jax.runtime import cli
from inception_jax.runtime import device_flags
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
_SIZE = flags.DEFINE_integer(
  'image_size',
  None,
  'Height and width of the images; of the training if unset.',
)
_EXIF = flags.DEFINE_enum(
  'exif',
  '',
  ['', 'ignore', 'apply'],
  "EXIF orientation of JPEGs, in the file's card; '': as in training.",
)
_BACKGROUND = flags.DEFINE_string(
  'background',
  '',
  "Under transparent pixels, in the file's card: none, white, black or "
  "#rrggbb; '': as in training.",
)
_OUTPUTS = flags.DEFINE_list(
  'outputs', [], 'End points of the network that are outputs beside logits.'
)
_SOFTMAX = flags.DEFINE_bool(
  'softmax', False, 'Whether `probabilities` are an output beside logits.'
)
_PREPROCESS = flags.DEFINE_bool(
  'preprocess', False, 'Whether an ONNX takes uint8 images and normalizes them.'
)
_PRECISION = flags.DEFINE_enum(
  'precision', 'float32', ['float32', 'float16'], 'Of weights and activations.'
)
_CALIBRATION = cli.define_path(
  'calibration', 'Folder of images for the ranges of --format=litert_int8.'
)
_MINDSPORE = cli.define_path(
  'mindspore',
  'Python interpreter with mindspore, for --format=mindir and air.',
  default='.venv-mindspore/bin/python',
)
flags.adopt_module_key_flags(device_flags)
_OUTPUT = cli.define_path('output', 'File or folder to create.')


def main():
  """Restores a network, exports it atomically and compares the result."""
  workdir, output = _WORKDIR.value, _OUTPUT.value
  mindspore = _MINDSPORE.value
  _check_flags(workdir, output, mindspore)
  mesh = sharding.make_mesh(device_flags.choose())
  step, weights = pretrained.restore(
    workdir, _CHECKPOINT.value, mesh, ema=_WEIGHTS.value == 'ema'
  )
  if _CONFIG.value is not None:
    pretrained.resolve(_CONFIG.value, weights)  # checks the network
  file_format = formats.FORMATS[_FORMAT.value]
  weights = _with_card(weights)
  options = Options(
    calibration=_calibration_images(weights.card),
    mindspore=mindspore,
    outputs=outputs.names(
      architectures.create(weights.network), _OUTPUTS.value, _SOFTMAX.value
    ),
    preprocess=_PREPROCESS.value,
    precision=_PRECISION.value,
  )
  exported = file_format.without_unsupported(weights)
  log.info('exporting; a full-size network takes a minute or two')
  with files.atomic_path(output) as unfinished:
    read_back = file_format.save(exported, unfinished, step, options)
    differences = file_format.compare(exported, read_back, options)
    formats.check_bound(_FORMAT.value, differences, options.precision)
  if file_format.next_step:
    log.info(file_format.next_step, output)
  return {
    'step': step,
    'format': _FORMAT.value,
    'output': output,
    'image_size': weights.card.input_size,
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
  given = {
    'calibration': calibration,
    'image_size': _SIZE.value is not None,
    'outputs': _OUTPUTS.value,
    'softmax': _SOFTMAX.value,
    'preprocess': _PREPROCESS.value,
    'precision': _PRECISION.value != 'float32',
  }
  for flag in (key for key, value in given.items() if value):
    taken = [x for x, known in formats.FORMATS.items() if flag in known.options]
    if file_format and name not in taken:
      faults.append(f'--{flag} applies only to --format={", ".join(taken)}')
  if _BACKGROUND.value and not choices.is_background(_BACKGROUND.value):
    expected = choices.BACKGROUND[1]
    faults.append(f'--background={_BACKGROUND.value}: expected {expected}')
  if calibration and not os.path.exists(calibration):
    faults.append(f'--calibration={calibration}: no such folder')
  if faults:
    raise UserError(*faults)


def _with_card(weights):
  """Returns `weights` with the card of the flags for it."""
  network, card = weights.network, weights.card
  card = dataclasses.replace(
    card,
    exif=_EXIF.value or card.exif,
    background=_BACKGROUND.value or card.background,
  )
  size = card.input_size if _SIZE.value is None else _SIZE.value
  least = architectures.smallest_image(network.name, network.stem)
  if not least <= size <= metadata.MAX_SIDE:
    raise UserError(
      f'--image_size={size}: {network.name} takes {least} to '
      f'{metadata.MAX_SIDE:,} pixels'
    )
  card = dataclasses.replace(card, input_size=size)
  return dataclasses.replace(weights, card=card)


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
