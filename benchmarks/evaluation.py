"""Compares evaluation with its bare forward pass, and 144 crops with one.

The images are synthetic: nothing is read from disk.
"""

import jax

from benchmarks import timing
from inception_jax.data import order
from inception_jax.data import pipeline
from inception_jax.data.sources import registry
from inception_jax.distributed import sharding
from inception_jax.evaluation import scoring
from inception_jax.evaluation.evaluator import Evaluator
from inception_jax.models import factory


def measure(config, rounds: int) -> dict:
  """Alternates the bare forward pass, single-crop and 144-crop evaluation.

  Returns:
    Medians: 'times_bare', the speed of evaluating 1024 images relative to the
    forward pass alone on a batch that is already on the devices; 'times_144',
    the time per image with 144 crops (64 images) relative to 144 times that
    with one crop; 'images_per_sec' with one crop.
  """
  config.data.source, config.data.eval_protocol = 'synthetic', 'single'
  config = factory.resolve(config)
  split, few = (registry.load(config, name) for name in ('train', 'validation'))
  mesh = sharding.make_mesh()
  model = factory.build(config, len(split.class_names))
  size, channels = config.data.image_size, config.data.channels
  shape = (1, size, size, channels)
  init = jax.jit(model.init, out_shardings=sharding.replicated(mesh))
  variables = init(jax.random.key(0), jax.numpy.zeros(shape))
  forward = jax.jit(scoring.make_forward(config, model))
  batch_size = sharding.round_up(min(config.batch_size, split.size), mesh)
  batches = order.num_eval_batches(split, batch_size)
  rows = next(
    pipeline.eval_batches(split, config.data, batch_size, range(batch_size))
  )
  images = sharding.to_global(mesh, {'image': rows['image']})['image']

  def bare():
    for _ in range(batches):
      jax.block_until_ready(forward(variables, images))

  crops = config.copy_and_resolve_references()
  crops.data.eval_protocol = '144_crops'
  single = Evaluator([(config, model)], split, mesh)
  several = Evaluator([(crops, model)], few, mesh)
  sides = {
    'bare': lambda: timing.seconds(bare),
    'one': lambda: timing.seconds(single, variables),
    'many': lambda: timing.seconds(several, variables),
  }
  for side in sides.values():
    side()  # compiles
  seconds = timing.alternate(sides, rounds)
  one, many = seconds['one'] / split.size, seconds['many'] / few.size
  alone = seconds['bare'] / (batches * batch_size)
  return {
    'times_bare': timing.median(alone / one, 3),
    'times_144': timing.median(many / (144 * one), 3),
    'images_per_sec': timing.median(1 / one, 2),
    'network': config.model.name,
    'image_size': size,
    'batch_size': batch_size,
  }
