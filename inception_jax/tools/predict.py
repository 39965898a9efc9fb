"""Classifies images: the five most probable classes of each.

python -m inception_jax.tools.predict --workdir=runs/v4 cat.jpg photos/
python -m inception_jax.tools.predict --artifact=v4.onnx --json photos/

The network is that of a run (--workdir=), of a checkpoint or another
framework's weight file (--checkpoint=PATH), or a file written by tools.export
(--artifact=). Prints a line for each image, of a table or with --json a JSON
object; the result has all of them as `predictions`. Images that cannot be read
are reported in `failed`; then the exit status is 1.
"""

from collections.abc import Iterator
from concurrent import futures
import json
import os
import sys
from typing import Any

from absl import flags
import jax
from ml_collections import config_flags
import numpy as np
from scipy import special

from inception_jax.checkpointing import lookup
from inception_jax.data import bad_images
from inception_jax.data import choices
from inception_jax.data import image_files
from inception_jax.data import pipeline
from inception_jax.data.augment import transforms
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.errors import printable
from inception_jax.evaluation import labels
from inception_jax.export import formats
from inception_jax.models import architectures
from inception_jax.models import card as card_lib
from inception_jax.runtime import cli
from inception_jax.runtime import device_flags
from inception_jax.runtime import progress_bar
from inception_jax.weights import pretrained

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'Recipe of the run; checked against its checkpoint.'
)
_WORKDIR = cli.define_path('workdir', 'Folder of the run.')
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'latest', 'latest, best, a step, or the path of weights.'
)
_ARTIFACT = cli.define_path(
  'artifact', 'File or folder written by tools.export.'
)
_TRUST = flags.DEFINE_bool(
  'trust', False, 'Run an artifact that is not as tools.export writes them.'
)
_WEIGHTS = flags.DEFINE_enum(
  'weights', 'ema', ['ema', 'raw'], 'Moving average, if any, or raw weights.'
)
_CLASSES = cli.define_path(
  'class_names', 'File with the names of the outputs, one a line.'
)
_BATCH = flags.DEFINE_integer(
  'batch_size', 16, 'Images in a batch.', lower_bound=1
)
_EXIF = flags.DEFINE_enum(
  'exif',
  'apply',
  ['apply', 'ignore'],
  'What becomes of the EXIF orientation of JPEGs.',
)
_BACKGROUND = flags.DEFINE_string(
  'background',
  '',
  "Under transparent pixels: none, white, black or #rrggbb; '': the network's.",
)
_JSON = flags.DEFINE_bool('json', False, 'Print JSON lines, not a table.')
flags.adopt_module_key_flags(device_flags)
_TOP = 5


def main(paths: list[str]) -> dict[str, Any]:
  """Classifies the images, batch by batch."""
  faults = []
  if not paths:
    faults.append('name an image, or a folder of them')
  given = [_WORKDIR.value, _ARTIFACT.value, lookup.is_path(_CHECKPOINT.value)]
  if sum(map(bool, given)) != 1:
    faults.append('give one of --workdir=, --checkpoint=PATH and --artifact=')
  if _BACKGROUND.value and not choices.is_background(_BACKGROUND.value):
    expected = choices.BACKGROUND[1]
    faults.append(f'--background={_BACKGROUND.value}: expected {expected}')
  faults += [f'{p}: no such file' for p in paths if not os.path.exists(p)]
  if faults:
    raise UserError(*faults)
  devices = device_flags.choose()
  images = image_files.find(paths)
  loaded, classify = _load_network(devices[:1])
  number = loaded.network.num_classes
  unnamed = (f'output {i}' for i in range(len(loaded.classes), number))
  names = (*loaded.classes, *unnamed)
  if _CLASSES.value:
    names = labels.class_names(_CLASSES.value, number)
  cli.use_compilation_cache()
  predictions, failed = [], {}
  with progress_bar.progress_bar(len(images), 'predicting', 'images') as bar:
    for path, logits in _logits(images, classify, loaded.card, failed):
      if logits is not None:
        # By logits, since many probabilities of a confident network are 0.
        top = np.argsort(-logits, kind='stable')[:_TOP]
        probabilities = special.softmax(logits)
        classes = [
          {'class': names[i], 'probability': float(probabilities[i])}
          for i in top
        ]
        predictions.append({'image': path, 'classes': classes})
        bar.write(_line(predictions[-1]))
      bar.update()
  for path, reason in failed.items():
    bar.write(printable(f'{path}: {reason}'), file=sys.stderr)
  return {
    'images': len(predictions),
    'failed': failed,
    'predictions': predictions,
  }


def _load_network(devices):
  """Returns `Weights` or an `Artifact`, and its `Artifact.classify`."""
  if _ARTIFACT.value:
    artifact = formats.load(_ARTIFACT.value, _TRUST.value)
    return artifact, artifact.classify
  _, weights = pretrained.restore(
    _WORKDIR.value,
    _CHECKPOINT.value,
    sharding.make_mesh(devices),
    ema=_WEIGHTS.value == 'ema',
  )
  if _CONFIG.value is not None:
    pretrained.resolve(_CONFIG.value, weights)  # checks the network
  model = architectures.create(weights.network)
  forward = jax.jit(lambda variables, x: model.apply(variables, x)[0])
  return weights, lambda x: np.asarray(forward(weights.variables, x))


def _logits(paths, classify, card, failed) -> Iterator[tuple[str, Any]]:
  """Yields each path and its logits [N].

  For a bad image, yields None and adds the reason to `failed`.
  """
  pipeline.hide_gpus()
  data, size = card_lib.to_config(card), _BATCH.value
  data.exif = _EXIF.value
  data.background = _BACKGROUND.value or data.background

  def read(path):
    try:
      return image_files.read(path, data)
    except Exception as error:  # each decoder raises its own
      failed[path] = bad_images.one_line(error)
      return None

  with futures.ThreadPoolExecutor() as pool:
    for begin in range(0, len(paths), size):
      batch = paths[begin : begin + size]
      images = list(pool.map(read, batch))
      good = [image for image in images if image is not None]
      # The batch has a fixed shape, so that it is compiled once.
      rows = np.zeros((size, *card.image_shape), np.uint8)
      for row, image in zip(rows, good, strict=False):
        row[:] = image
      logits = iter(classify(transforms.normalize(rows, data)))
      for path, image in zip(batch, images, strict=True):
        yield path, None if image is None else next(logits)


def _line(prediction: dict[str, Any]) -> str:
  if _JSON.value:
    return json.dumps(prediction)
  classes = (
    f'{100 * x["probability"]:5.1f} % {printable(x["class"])}'
    for x in prediction['classes']
  )
  return f'{printable(prediction["image"])}  {"  ".join(classes)}'


if __name__ == '__main__':
  cli.run(main, lambda result: bool(result['failed']), takes_paths=True)
