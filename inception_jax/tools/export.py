"""Exports a trained network to other programs and frameworks.

python -m inception_jax.tools.export --workdir=runs/v4 --format=onnx \
    --output=v4.onnx

`onnx`: one file, NCHW, any batch, standard operators of opset 18.
`stablehlo`: one file for cpu, cuda and tpu, with its parameters.
`savedmodel`: a folder with two signatures, of normalised images and of encoded
ones. `litert`: a .tflite of one image at a time, in float32; `litert_int8`: the
same, a quarter as large, its ranges from the images in `--calibration=`.
`timm`: safetensors for `timm.create_model(…).load_state_dict(…, strict=True)`;
`mindcv`: a .ckpt for `mindspore.load_checkpoint`. `mindir`: one file for
MindSpore, NCHW, any batch, made by the Python of `--mindspore=`. What has been
written is read back and compared with the network before it gets its name:
`max_abs_diff` is of logits, or of weights.
"""

import logging
import os

from absl import flags
import jax
from ml_collections import config_flags

from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.runtime import cli
from inception_jax.runtime import files

log = logging.getLogger(__name__)

# Images to calibrate on, and of these to compare on.
_MOST, _COMPARED = 200, 8

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The recipe of the run; checked with its checkpoint.'
)

_WORKDIR = flags.DEFINE_string('workdir', '', 'The folder of the run.')

_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'latest', 'latest, best, a step, or the path of a checkpoint.'
)

_WEIGHTS = flags.DEFINE_enum(
  'weights', 'ema', ['ema', 'raw'], 'The moving average, if any, or the raw.'
)

_FORMAT = flags.DEFINE_string(
  'format',
  '',
  'onnx, stablehlo, savedmodel, litert, litert_int8, timm, mindcv or mindir.',
)

_CALIBRATION = flags.DEFINE_string(
  'calibration', '', 'Folder of images that litert_int8 finds its ranges by.'
)

_MINDSPORE = flags.DEFINE_string(
  'mindspore',
  '.venv-mindspore/bin/python',
  'With --format=mindir: a Python that has mindspore and mindcv.',
)

_OUTPUT = flags.DEFINE_string('output', '', 'The file to be made.')


def main():
  """Restores, writes beside the output, compares, renames."""
  output = os.path.expanduser(_OUTPUT.value)
  workdir = os.path.expanduser(_WORKDIR.value)

  from inception_jax.distributed import sharding
  from inception_jax.export import artifact
  from inception_jax.export import mindir
  from inception_jax.weights import exporter
  from inception_jax.weights import pretrained

  file_format, which = _FORMAT.value, _CHECKPOINT.value
  known = (*artifact.FORMATS, *exporter.FORMATS, mindir.FORMAT)
  endings = {**artifact.ENDINGS, mindir.FORMAT: mindir.ENDING}
  ending = endings.get(file_format, '')
  faults = []
  if not workdir and '/' not in which:
    faults.append('--workdir is missing: the folder of the run to export')
  if file_format not in known:
    faults.append(f'--format={file_format}: expected one of {", ".join(known)}')
  python = os.path.expanduser(_MINDSPORE.value)
  if file_format == mindir.FORMAT and (fault := mindir.missing(python)):
    faults.append(f'--mindspore={python} {fault}')
  if not output:
    faults.append('--output is missing: the file to be made')
  elif os.path.lexists(output):
    faults.append(f'--output={output} is there already')
  elif not output.endswith(ending):
    faults.append(f'--output={output}: expected a name that ends in {ending}')
  elif fault := files.cannot_write(os.path.dirname(os.path.abspath(output))):
    faults.append(f'--output={output} cannot be written: {fault}')
  images = _CALIBRATION.value
  if images and file_format != 'litert_int8':
    faults.append('--calibration is for --format=litert_int8 alone')
  elif images and not os.path.exists(images):
    faults.append(f'--calibration={images}: no such folder')
  if faults:
    raise UserError(*faults)

  step, weights = pretrained.find(
    workdir,
    which,
    sharding.make_mesh(),
    _WEIGHTS.value == 'ema',
    _CONFIG.value,
  )
  os.makedirs(os.path.dirname(os.path.abspath(output)), exist_ok=True)
  with files.atomic_path(output) as unfinished:
    if file_format in artifact.FORMATS:
      found = _artifact(weights, unfinished, file_format, step)
    elif file_format == mindir.FORMAT:
      found = _mindir(weights, unfinished, step, python)
    else:
      found = _weights(weights, unfinished, file_format)
  return {
    'step': step,
    'format': file_format,
    'output': output,
    'parameters': sum(
      x.size for x in jax.tree.leaves(weights.variables['params'])
    ),
    'bytes': artifact.size_of(output),
    **found,
  }


def _artifact(weights, path: str, file_format: str, step: int) -> dict:
  """Writes one and runs it beside the network."""
  from inception_jax.export import artifact
  from inception_jax.export import comparison

  log.info('exporting; a full network takes a minute or two')
  images = _images(weights.card)
  artifact.save(weights, path, file_format, step, images)
  # All of them at once would take the memory of a batch as large.
  few = None if images is None else images[:: -(-len(images) // _COMPARED)]
  found = comparison.compare(weights, artifact.load(path).classify, few)
  return _within(artifact.BOUNDS[file_format], found, file_format)


def _mindir(weights, path: str, step: int, python: str) -> dict:
  """Has mindspore write one and run it, beside the network."""
  from inception_jax.export import comparison
  from inception_jax.export import mindir
  from inception_jax.weights import exporter

  log.info('exporting by mindspore; a full network takes a minute or two')
  weights = exporter.without_aux(weights)
  images = comparison.normalised(weights.card)
  logits, _ = mindir.save(weights, path, step, python, images)
  found = comparison.compare(weights, lambda _: logits)
  return _within(mindir.BOUND, found, mindir.FORMAT)


def _within(bound: float, found: dict, file_format: str) -> dict:
  """What was found, where the difference is within its bound."""
  if not found['relative_diff'] <= bound:
    raise RunError(
      f'as {file_format} it is {found["relative_diff"]:.1e} of the largest '
      f'logit off, more than {bound:g}: nothing is written'
    )
  return found


def _images(card):
  """uint8 [n, S, S, C] to calibrate on, at most `_MOST`; None, if unnamed."""
  import numpy as np

  from inception_jax.data import bad_images
  from inception_jax.data import image_files
  from inception_jax.models import card as card_lib

  if not _CALIBRATION.value:
    if _FORMAT.value == 'litert_int8':
      log.warning(
        'ranges of int8 come from two photographs and noise: for accuracy, '
        'name some hundred images of your own by --calibration='
      )
    return None
  found = image_files.find([_CALIBRATION.value])
  chosen = found[:: -(-len(found) // _MOST)]  # of all its classes
  data = card_lib.data_of(card)
  read = []
  for path in chosen:
    try:
      read.append(image_files.read(path, data))
    except Exception as error:  # each decoder has its own
      log.warning('%s: %s', path, bad_images.one_line(error))
  if not read:
    raise UserError(f'--calibration={_CALIBRATION.value}: none can be read')
  log.info('calibrating on %d images', len(read))
  return np.stack(read)


def _weights(weights, path: str, file_format: str) -> dict:
  """Writes them and reads them back."""
  from inception_jax.weights import exporter
  from inception_jax.weights import importer

  weights = exporter.fitting(weights, file_format)
  exporter.save(weights, path, file_format)
  difference = exporter.difference(weights, importer.load(path))
  if difference:
    raise RunError(f'as {file_format} it reads back {difference} off')
  return {'max_abs_diff': difference}


if __name__ == '__main__':
  cli.run(main)
