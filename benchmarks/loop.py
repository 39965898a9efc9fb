"""Compares the whole training loop with the bare step."""

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

_PHOTOS = 512  # at most; more would not matter, as files stay in the page cache


def measure(config, rounds: int, steps: int) -> dict:
  """Alternates `main.py`'s training loop and the bare step on one batch.

  Args:
    config: the whole config. With data.source=folder and no data.dir, a folder
      of photographs is created.
    rounds: repetitions of each side.
    steps: per repetition.

  Returns:
    Medians: 'times_bare', the loop's speed relative to the bare step's;
    'images_per_sec' and 'bare_images_per_sec'; and the settings. The loop's
    speed excludes compilation, evaluation and checkpoints.
  """
  config = factory.resolve(config)
  if config.data.source == 'folder' and not config.data.dir:
    with tempfile.TemporaryDirectory() as folder:
      count = min(_PHOTOS, steps * config.batch_size)
      log.info('creating %d photographs', count)
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
  bare = step.step_functions(config, classes)['train']
  bare(2)  # compiles
  results = []
  for i in range(rounds):
    log.info('round %d of %d', i + 1, rounds)
    begin = time.perf_counter()
    bare(steps)
    alone = steps * config.batch_size / (time.perf_counter() - begin)
    with tempfile.TemporaryDirectory() as folder:
      looped = loop.train(config, folder, mesh)['images_per_sec']
    results.append((looped, alone))
  median = statistics.median
  return {
    'times_bare': round(median(looped / alone for looped, alone in results), 3),
    'images_per_sec': round(median(looped for looped, _ in results), 2),
    'bare_images_per_sec': round(median(alone for _, alone in results), 2),
    'network': config.model.name,
    'source': config.data.source,
    'precision': config.precision,
    'image_size': config.data.image_size,
    'batch_size': config.batch_size,
    'steps': steps,
    'device': hardware.devices(),
    'versions': {'jax': jax.__version__},
  }
