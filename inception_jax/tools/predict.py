"""Says what is on images: the five most probable classes of each.

python -m inception_jax.tools.predict --workdir=runs/v4 cat.jpg photos/
python -m inception_jax.tools.predict --artifact=v4.onnx --json photos/

With a trained network (--workdir=, or the path of a checkpoint or of another
framework's file as --checkpoint=) or what tools.export wrote (--artifact=).
Prints a line an image, a table or with --json one object; the result has them
all as `predictions`. An image that cannot be read is named in `failed`, the
others are served, and the exit status is 1.
"""

from collections.abc import Callable
from collections.abc import Iterator
from concurrent import futures
import json
import os
import sys
from typing import Any

from absl import flags
from ml_collections import config_flags

from inception_jax.errors import UserError
from inception_jax.runtime import cli

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The recipe of the run; checked with its checkpoint.'
)

_WORKDIR = flags.DEFINE_string('workdir', '', 'The folder of the run.')

_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'latest', 'latest, best, a step, or the path of weights.'
)

_ARTIFACT = flags.DEFINE_string('artifact', '', 'What tools.export wrote.')

_WEIGHTS = flags.DEFINE_enum(
  'weights', 'ema', ['ema', 'raw'], 'The moving average, if any, or the raw.'
)

_CLASSES = flags.DEFINE_string(
  'class_names', '', 'File with the names of the outputs, one a line.'
)

_BATCH = flags.DEFINE_integer(
  'batch_size', 16, 'Images at a time.', lower_bound=1
)

_JSON = flags.DEFINE_bool('json', False, 'A line of JSON an image, no table.')

_GUESSES = 5


def main(paths: list[str]) -> dict[str, Any]:
  """Classifies the images, batch by batch."""
  from inception_jax.checkpointing import lookup
  from inception_jax.data import image_files
  from inception_jax.runtime import progress_bar

  faults = []
  if not paths:
    faults.append('name an image, or a folder of them')
  given = [_WORKDIR.value, _ARTIFACT.value, lookup.is_path(_CHECKPOINT.value)]
  if sum(map(bool, given)) != 1:
    faults.append('give one of --workdir=, --checkpoint=PATH and --artifact=')
  faults += [f'{p}: no such file' for p in paths if not os.path.exists(p)]
  if faults:
    raise UserError(*faults)
  images = image_files.find(paths)
  classify, card, names = _network()
  cli.use_compilation_cache()
  predictions, failed = [], {}
  with progress_bar.progress_bar(len(images), 'predicting', 'images') as bar:
    for batch, read, guesses in _batches(images, classify, card, failed):
      for path, own in zip(read, guesses, strict=True):
        found = [{'class': names[i], 'probability': float(p)} for i, p in own]
        predictions.append({'image': path, 'classes': found})
        bar.write(_line(predictions[-1]))
      bar.update(len(batch))
  for path, reason in failed.items():
    bar.write(f'{path}: {reason}', file=sys.stderr)
  return {
    'images': len(predictions),
    'failed': failed,
    'predictions': predictions,
  }


def status(result: dict[str, Any]) -> int:
  """Of the command."""
  return int(bool(result['failed']))


def _line(prediction) -> str:
  if _JSON.value:
    return json.dumps(prediction, ensure_ascii=False)
  guesses = (
    f'{100 * x["probability"]:5.1f} % {x["class"]}'
    for x in prediction['classes']
  )
  return f'{prediction["image"]}  {"  ".join(guesses)}'


def _network() -> tuple[Callable, Any, tuple[str, ...]]:
  """(normalised images → logits, card, names of the outputs)."""
  from inception_jax.distributed import sharding
  from inception_jax.evaluation import labels
  from inception_jax.export import artifact
  from inception_jax.models import factory
  from inception_jax.weights import pretrained

  if _ARTIFACT.value:
    own = artifact.load(_ARTIFACT.value)
    classify, number = own.classify, own.num_classes
  else:
    import jax
    import numpy as np

    mesh = sharding.make_mesh(jax.devices()[:1])
    _, own = pretrained.find(
      os.path.expanduser(_WORKDIR.value),
      _CHECKPOINT.value,
      mesh,
      _WEIGHTS.value == 'ema',
      _CONFIG.value,
    )
    model = factory.create(**own.model, card=own.card)
    forward = jax.jit(lambda variables, x: model.apply(variables, x)[0])
    classify = lambda x: np.asarray(forward(own.variables, x))
    number = own.model['num_classes']
  if _CLASSES.value:
    return classify, own.card, labels.class_names(_CLASSES.value, number)
  rest = (f'output {i}' for i in range(len(own.classes), number))
  return classify, own.card, (*own.classes, *rest)


def _batches(
  images, classify, card, failed: dict[str, str]
) -> Iterator[tuple[list[str], list[str], list[list[tuple[int, float]]]]]:
  """All of a batch, those that can be read, and the best guesses of each."""
  import numpy as np
  from scipy import special

  from inception_jax.data import bad_images
  from inception_jax.data import image_files
  from inception_jax.data import pipeline
  from inception_jax.data.augment import transforms
  from inception_jax.models import card as card_lib

  pipeline.hide_accelerators()
  data, size = card_lib.data_of(card), _BATCH.value

  def pixels(path):
    try:
      return image_files.read(path, data)
    except Exception as error:  # each decoder has its own
      failed[path] = bad_images.one_line(error)
      return None

  with futures.ThreadPoolExecutor() as pool:
    for begin in range(0, len(images), size):
      batch = images[begin : begin + size]
      read = zip(batch, pool.map(pixels, batch), strict=True)
      read = [(path, image) for path, image in read if image is not None]
      # One shape, one compilation.
      rows = np.zeros(
        (size, data.image_size, data.image_size, data.channels), np.uint8
      )
      for row, (_, image) in zip(rows, read, strict=False):
        row[:] = image
      rows = np.asarray(transforms.normalise(rows, data))
      odds = special.softmax(classify(rows)[: len(read)], axis=1)
      best = np.argsort(-odds, axis=1, kind='stable')[:, :_GUESSES]
      guesses = [
        list(zip(own, row[own], strict=True))
        for own, row in zip(best, odds, strict=True)
      ]
      yield batch, [path for path, _ in read], guesses


if __name__ == '__main__':
  cli.run(main, status, takes_paths=True)
