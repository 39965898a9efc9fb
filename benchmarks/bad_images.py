"""Training batches of a folder with images that cannot be decoded.

Compared with a folder of the same images without them, in the second epoch:
each bad one is known by then.
"""

import contextlib
import itertools
import os
import tempfile
import time

from benchmarks import input as input_lib
from benchmarks import timing
from inception_jax.data import pipeline
from inception_jax.data.bad_images import BadImages
from inception_jax.data.sources import registry
from inception_jax.models import factory

_COPIES = 10
_ONE_IN = 1000


def measure(config, rounds: int, batches: int) -> dict:
  """Measures the input pipeline with the config's crops, and one bad in 1,000.

  Args:
    config: the recipe.
    rounds: of each side.
    batches: of 128 images, per round.

  Returns:
    Medians: 'times_none_bad', the speed with bad images relative to that
    without them; 'images_per_sec' of both; the counts 'images' and 'bad'.
  """
  config = factory.resolve(config)
  with tempfile.TemporaryDirectory() as scratch:
    photos = os.path.join(scratch, 'photos')
    input_lib.write_photos(photos, input_lib.PHOTOS)
    sides, counts = {}, {}
    for name, bad in (('none_bad', False), ('some_bad', True)):
      _copy(photos, os.path.join(scratch, name, 'train'), bad)
      folder = os.path.join(scratch, name)
      sides[name], counts[name] = _side(config, folder, batches)
    results = timing.alternate(sides, rounds)
  images = batches * input_lib.BATCH
  return {
    'times_none_bad': timing.median(
      results['none_bad'] / results['some_bad'], 2
    ),
    'images_per_sec': {
      name: timing.median(images / seconds) for name, seconds in results.items()
    },
    'images': counts['some_bad'][0],
    'bad': counts['some_bad'][1],
  }


def _copy(photos: str, folder: str, bad: bool) -> None:
  """Links to each photograph ten times, or writes junk for one in 1,000."""
  number = itertools.count(1)
  for copy in range(_COPIES):
    for entry in sorted(os.listdir(photos)):
      os.makedirs(os.path.join(folder, entry), exist_ok=True)
      for file in sorted(os.listdir(os.path.join(photos, entry))):
        path = os.path.join(folder, entry, f'{copy}_{file}')
        if bad and next(number) % _ONE_IN == 0:
          with open(path, 'w') as junk:
            junk.write('junk')
        else:
          os.link(os.path.join(photos, entry, file), path)


def _side(config, folder: str, batches: int):
  """Returns a function that times batches of a later epoch, and the counts."""
  config = config.copy_and_resolve_references()
  config.data.source, config.data.dir = 'folder', folder
  config.data.train_split, config.batch_size = 'train', input_lib.BATCH
  config.data.max_bad_fraction = 0.05
  split = registry.load(config, 'train')
  bad = BadImages(split, config.data)
  epoch = -(-split.size // input_lib.BATCH)

  def read(first: int, warm_up: int, timed: int) -> float:
    # Closed each time, so that it does not read ahead beside the other side.
    rows = range(input_lib.BATCH)
    stream = pipeline.train_batches(split, config, first, rows, bad)
    with contextlib.closing(stream):
      for _ in range(warm_up):
        next(stream)
      begin = time.perf_counter()
      for _ in range(timed):
        next(stream)
      return time.perf_counter() - begin

  read(0, 0, epoch)
  return lambda: read(epoch, 4, batches), (split.size, len(bad.reasons))
