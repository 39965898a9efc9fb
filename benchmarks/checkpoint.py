"""What checkpoints cost: the training loop with one, and without any."""

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
  """Trains in turns with and without a checkpoint.

  Args:
    config: the whole config; its data is read, so synthetic is best.
    rounds: turns of each side.
    steps: of a turn. The checkpoint is begun after the first and must be
      written and read back before the turn ends.

  Returns:
    'times_without', the speed with a checkpoint over that without;
    'seconds_a_checkpoint', what it makes the turn longer;
    'times_copy', the time that the loop waits for a save over that of a copy
    to the host; 'images_per_sec', 'checkpoint_mb'. Medians.
  """
  config = factory.resolve(config)
  split = registry.load(config, config.data.train_split)
  num_classes = factory.num_classes(config, split.class_names)
  plan = durations.plan(config, split.size)
  mesh = sharding.make_mesh()
  trainer = Trainer(
    config, mesh, num_classes, schedules.make_schedule(config, plan)
  )
  train_step, state = trainer.compile(), trainer.init()
  rows = sharding.host_rows(config.batch_size)
  batches = pipeline.train_batches(split, config, 0, rows)
  batches = sharding.on_devices(mesh, batches)

  def turn(state, then) -> tuple:
    """Trains; the seconds of it all, and of what is done after a step."""
    begin, waited = time.perf_counter(), 0.0
    for i in range(steps):
      state, sums = train_step(state, next(batches))
      jax.block_until_ready(sums)
      if i == 0:
        waiting = time.perf_counter()
        then(state)
        waited = time.perf_counter() - waiting
    return state, time.perf_counter() - begin, waited

  nothing = lambda state: None
  state, _, _ = turn(state, nothing)  # warms up
  speeds, waits = [], []
  for i in range(rounds):
    log.info('round %d of %d', i + 1, rounds)
    state, without, _ = turn(state, nothing)
    state, _, copying = turn(state, to_host)
    with tempfile.TemporaryDirectory() as folder:
      begin = time.perf_counter()
      with CheckpointManager(folder) as checkpoints:
        save = lambda state: checkpoints.save(state, {}, {})
        state, _, saving = turn(state, save)
      speeds.append((without, time.perf_counter() - begin))
    waits.append((saving, copying))
  ratio = lambda pairs: statistics.median(a / b for a, b in pairs)
  seconds = statistics.median(with_it for _, with_it in speeds)
  size = sum(x.nbytes for x in jax.tree.leaves(state))
  return {
    'times_without': round(ratio(speeds), 3),
    'times_copy': round(ratio(waits), 2),
    'seconds_a_checkpoint': round(
      statistics.median(b - a for a, b in speeds), 2
    ),
    'images_per_sec': round(steps * config.batch_size / seconds, 2),
    'checkpoint_mb': round(size / 1e6),
    'network': config.model.name,
    'steps': steps,
  }
