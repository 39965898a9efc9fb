"""Compares the whole training loop with the bare step."""

import os
import tempfile

import jax
import numpy as np

from benchmarks import input
from benchmarks import step
from benchmarks import timing
from inception_jax.data.sources import registry
from inception_jax.distributed import sharding
from inception_jax.models import factory
from inception_jax.runtime import hardware
from inception_jax.training import loop


def measure(config, rounds: int, steps: int) -> dict:
  """Alternates `main.py`'s training loop and the bare step on one batch.

  Each runs `steps` in a round. With data.source=folder and no data.dir, a
  folder of photographs is created.

  Returns:
    Medians: 'times_bare', the loop's speed relative to the bare step's;
    'images_per_sec' and 'bare_images_per_sec'; and the settings. The loop's
    speed excludes compilation, evaluation and checkpoints. 'compile_seconds':
    what the bare step's compilation took.
  """
  config = factory.resolve(config)
  images = steps * config.batch_size
  if config.data.source == 'folder' and not config.data.dir:
    with tempfile.TemporaryDirectory() as folder:
      # More would not matter, as files stay in the page cache.
      count = min(input.PHOTOS, images)
      for split, number in (('train', count), ('val', 8)):
        input.write_photos(os.path.join(folder, split), number)
      config.data.dir = folder
      config.data.train_split, config.data.eval_split = 'train', 'val'
      return measure(config, rounds, steps)
  config.train_for = f'{steps} steps'
  config.eval_every = config.checkpoint_every = config.train_for
  config.log_every = config.train_for
  config.data.grow_from = 0  # the bare step has images of one size
  mesh = sharding.make_mesh()
  names = registry.load(config, config.data.train_split).class_names
  classes = factory.num_classes(config, names)
  bare = step.step_functions(config, classes)['train']
  first = timing.seconds(bare, 2)  # compiles

  def looped() -> float:
    with tempfile.TemporaryDirectory() as folder:
      return images / loop.train(config, folder, mesh)['images_per_sec']

  sides = {'bare': lambda: timing.seconds(bare, steps), 'looped': looped}
  seconds = timing.alternate(sides, rounds)
  return {
    'times_bare': timing.median(seconds['bare'] / seconds['looped'], 3),
    'images_per_sec': timing.median(images / seconds['looped'], 2),
    'bare_images_per_sec': timing.median(images / seconds['bare'], 2),
    'network': config.model.name,
    'source': config.data.source,
    'precision': config.precision,
    'image_size': config.data.image_size,
    'batch_size': config.batch_size,
    'steps': steps,
    'device': hardware.devices(),
    'versions': {'jax': jax.__version__},
    'compile_seconds': round(
      first - 2 * float(np.median(seconds['bare'])) / steps, 1
    ),
  }
