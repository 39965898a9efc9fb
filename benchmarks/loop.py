"""The whole training loop beside its step alone."""

import logging
import os
import statistics
import tempfile
import time

import jax

from benchmarks import input
from benchmarks import step
from inception_jax.data.sources import registry
from inception_jax.distributed import sharding
from inception_jax.models import factory
from inception_jax.runtime import hardware
from inception_jax.training import loop

log = logging.getLogger(__name__)

_PHOTOS = 512  # at most; of several epochs, they lie in the memory anyway


def measure(config, rounds: int, steps: int) -> dict:
  """Trains in turns by `main.py`'s loop and by the step, on one batch, alone.

  Args:
    config: the whole config; its data is read, from a disk if it lies there.
      A folder that has no name is made, of photographs.
    rounds: turns of each side.
    steps: of a turn.

  Returns:
    'times_bare', the loop's speed over the step's; 'images_per_sec' and
    'bare_images_per_sec', medians; what it was measured of and on. The loop's
    speed is what a user sees: without compiling, evaluating and checkpoints.
  """
  config = factory.resolve(config)
  if config.data.source == 'folder' and not config.data.dir:
    with tempfile.TemporaryDirectory() as folder:
      count = min(_PHOTOS, steps * config.batch_size)
      log.info('making %d photographs', count)
      for split, images in (('train', count), ('val', 8)):
        input.write_photos(os.path.join(folder, split), images)
      config.data.dir = folder
      config.data.train_split, config.data.eval_split = 'train', 'val'
      return measure(config, rounds, steps)
  config.train_for = f'{steps} steps'
  config.eval_every = config.checkpoint_every = config.train_for
  config.log_every = config.train_for
  mesh = sharding.make_mesh()
  names = registry.load(config, config.data.train_split).class_names
  classes = factory.num_classes(config, names)
  bare = step.sides(config, classes)['train']
  bare(2)  # compiles
  found = []
  for i in range(rounds):
    log.info('round %d of %d', i + 1, rounds)
    begin = time.perf_counter()
    bare(steps)
    alone = steps * config.batch_size / (time.perf_counter() - begin)
    with tempfile.TemporaryDirectory() as folder:
      looped = loop.train(config, folder, mesh)['images_per_sec']
    found.append((looped, alone))
  median = statistics.median
  return {
    'times_bare': round(median(looped / alone for looped, alone in found), 3),
    'images_per_sec': round(median(looped for looped, _ in found), 2),
    'bare_images_per_sec': round(median(alone for _, alone in found), 2),
    'network': config.model.name,
    'source': config.data.source,
    'precision': config.precision,
    'image_size': config.data.image_size,
    'batch_size': config.batch_size,
    'steps': steps,
    'device': hardware.devices(),
    'versions': {'jax': jax.__version__},
  }
