"""What checkpoints cost: the training loop with one, and without any."""

import logging
import statistics
import tempfile
import time

import jax
import numpy as np

from inception_jax import models
from inception_jax import plan as plan_lib
from inception_jax import schedules
from inception_jax import sharding
from inception_jax.checkpoints import Checkpoints
from inception_jax.data import pipeline
from inception_jax.data import sources
from inception_jax.trainer import Trainer

log = logging.getLogger(__name__)


def measure(config, rounds: int, steps: int) -> dict:
  """Trains in turns with and without a checkpoint.

  Args:
    config: the whole config; its data is read, so synthetic is best.
    rounds: turns of each side.
    steps: of a turn. The checkpoint is begun after the first and must be
      written and read back before the turn ends.

  Returns:
    'times_without', the speed with a checkpoint over that without;
    'times_copy', the time that the loop waits for a save over that of a copy
    to the host; 'images_per_sec', 'checkpoint_mb'. Medians.
  """
  config = models.resolve(config)
  split = sources.load(config, config.data.train_split)
  num_classes = models.num_classes(config, split.class_names)
  plan = plan_lib.plan(config, split.size)
  mesh = sharding.make_mesh()
  trainer = Trainer(config, mesh, num_classes, schedules.schedule(config, plan))
  train_step, state = trainer.compile(), trainer.init()
  rows = sharding.host_rows(config.batch_size)
  batches = pipeline.train_batches(split, config, 0, rows)
  batches = sharding.on_devices(mesh, batches)

  def turn(state, save) -> tuple:
    begin, waited = time.perf_counter(), 0.0
    for i in range(steps):
      state, sums = train_step(state, next(batches))
      jax.block_until_ready(sums)
      if i == 0 and save:
        waiting = time.perf_counter()
        save(state)
        waited = time.perf_counter() - waiting
    return state, time.perf_counter() - begin, waited

  state, _, _ = turn(state, None)  # warms up
  speeds, waits, copies = [], [], []
  for i in range(rounds):
    log.info('round %d of %d', i + 1, rounds)
    state, without, _ = turn(state, None)
    begin = time.perf_counter()
    copy = jax.tree.map(np.array, jax.device_get(vars(state)))
    copies.append(time.perf_counter() - begin)
    with tempfile.TemporaryDirectory() as folder:
      begin = time.perf_counter()
      with Checkpoints(folder) as checkpoints:
        save = lambda state: checkpoints.save(state, {}, {})
        state, _, waited = turn(state, save)
      seconds = time.perf_counter() - begin
    speeds.append((without, seconds))
    waits.append(waited)
  images = steps * config.batch_size
  return {
    'times_without': round(statistics.median(a / b for a, b in speeds), 3),
    'times_copy': round(
      statistics.median(a / b for a, b in zip(waits, copies, strict=True)), 2
    ),
    'images_per_sec': round(
      images / statistics.median(b for _, b in speeds), 2
    ),
    'checkpoint_mb': round(sum(x.nbytes for x in jax.tree.leaves(copy)) / 1e6),
    'network': config.model.name,
    'steps': steps,
  }
