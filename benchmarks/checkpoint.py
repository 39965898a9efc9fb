"""Measures the cost of a checkpoint to a training loop."""

import logging
import statistics
import tempfile
import time

import jax

from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.checkpointing.manager import to_host
from inception_jax.config import durations
from inception_jax.data import pipeline
from inception_jax.data.sources import registry
from inception_jax.distributed import sharding
from inception_jax.models import factory
from inception_jax.training import schedules
from inception_jax.training.trainer import Trainer

log = logging.getLogger(__name__)


def measure(config, rounds: int, steps: int) -> dict:
  """Trains alternately with and without a checkpoint.

  Args:
    config: the whole config; synthetic data keeps input out of the measurement.
    rounds: repetitions of each side.
    steps: per repetition. The save starts after the first step, and the
      checkpoint is written and verified within the repetition's time.

  Returns:
    Medians: 'times_without', the speed with a checkpoint relative to that
    without; 'seconds_a_checkpoint', the time a checkpoint adds; 'times_copy',
    the time that the loop waits for a save relative to a plain copy to the
    host; 'images_per_sec'. And 'checkpoint_mb'.
  """
  config = factory.resolve(config)
  split = registry.load(config, config.data.train_split)
  num_classes = factory.num_classes(config, split.class_names)
  plan = durations.plan(config, split.size)
  mesh = sharding.make_mesh()
  rate = schedules.make_schedule(config.schedule, config.batch_size, plan)
  trainer = Trainer(config, mesh, num_classes, rate)
  train_step, state = trainer.compile(), trainer.init()
  rows = sharding.host_rows(config.batch_size)
  batches = pipeline.train_batches(split, config, 0, rows)
  batches = sharding.prefetch_to_devices(mesh, batches)

  def train(state, after_first_step) -> tuple:
    """Returns the state, the total seconds, and those of the callback."""
    begin, waited = time.perf_counter(), 0.0
    for i in range(steps):
      state, sums = train_step(state, next(batches))
      jax.block_until_ready(sums)
      if i == 0:
        waiting = time.perf_counter()
        after_first_step(state)
        waited = time.perf_counter() - waiting
    return state, time.perf_counter() - begin, waited

  nothing = lambda state: None
  state, _, _ = train(state, nothing)  # warm-up
  times, waits = [], []
  for i in range(rounds):
    log.info('round %d of %d', i + 1, rounds)
    state, without, _ = train(state, nothing)
    state, _, copying = train(state, lambda state: to_host(vars(state)))
    with tempfile.TemporaryDirectory() as folder:
      begin = time.perf_counter()
      with CheckpointManager(folder) as checkpoints:
        save = lambda state: checkpoints.save(vars(state), {}, {})
        state, _, saving = train(state, save)
      times.append((without, time.perf_counter() - begin))
    waits.append((saving, copying))
  ratio = lambda pairs: statistics.median(a / b for a, b in pairs)
  seconds = statistics.median(with_save for _, with_save in times)
  size = sum(x.nbytes for x in jax.tree.leaves(state))
  return {
    'times_without': round(ratio(times), 3),
    'times_copy': round(ratio(waits), 2),
    'seconds_a_checkpoint': round(
      statistics.median(b - a for a, b in times), 2
    ),
    'images_per_sec': round(steps * config.batch_size / seconds, 2),
    'checkpoint_mb': round(size / 1e6),
    'network': config.model.name,
    'steps': steps,
  }
