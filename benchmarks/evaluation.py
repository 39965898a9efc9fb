"""Compares evaluation with its bare forward pass, and 144 crops with one.

The images are synthetic: nothing is read from disk.
"""

import logging
import statistics
import time

import jax

from inception_jax.data import order
from inception_jax.data import pipeline
from inception_jax.data.sources import registry
from inception_jax.distributed import sharding
from inception_jax.evaluation import scoring
from inception_jax.evaluation.evaluator import Evaluator
from inception_jax.models import factory

log = logging.getLogger(__name__)


def measure(config, rounds: int) -> dict:
  """Alternates the bare forward pass, single-crop and 144-crop evaluation.

  Args:
    config: the whole config.
    rounds: repetitions of each side.

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
  one = Evaluator([(config, model)], split, mesh)
  many = Evaluator([(crops, model)], few, mesh)
  sides = [bare, lambda: one(variables), lambda: many(variables)]
  for side in sides:
    side()  # compiles
  results = []  # seconds per image
  for i in range(rounds):
    log.info('round %d of %d', i + 1, rounds)
    seconds = [_seconds(side) for side in sides]
    sizes = (batches * batch_size, split.size, few.size)
    results.append([s / n for s, n in zip(seconds, sizes, strict=True)])
  median = lambda f: statistics.median(f(*result) for result in results)
  return {
    'times_bare': round(median(lambda bare, one, many: bare / one), 3),
    'times_144': round(median(lambda bare, one, many: many / (144 * one)), 3),
    'images_per_sec': round(median(lambda bare, one, many: 1 / one), 2),
    'network': config.model.name,
    'image_size': size,
    'batch_size': batch_size,
  }


def _seconds(side) -> float:
  begin = time.perf_counter()
  side()
  return time.perf_counter() - begin
