"""Measures the cost of a checkpoint to a training loop."""

import tempfile
import time

import jax
import numpy as np

from benchmarks import timing
from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.checkpointing.manager import to_host
from inception_jax.data import pipeline
from inception_jax.distributed import sharding
from inception_jax.training import run as run_lib


def measure(config, rounds: int, steps: int) -> dict:
  """Trains alternately with and without a checkpoint.

  Synthetic data keeps input out of the measurement. A save starts after the
  first of the `steps` of a round, and the checkpoint is written and verified
  within the round's time.

  Returns:
    Medians: 'times_without', the speed with a checkpoint relative to that
    without; 'seconds_a_checkpoint', the time a checkpoint adds; 'times_copy',
    the time that the loop waits for a save relative to a plain copy to the
    host; 'images_per_sec'. And 'checkpoint_mb'.
  """
  run = run_lib.prepare(config, '', sharding.make_mesh())
  train_step, state = run.trainer.compile(), run.trainer.init()
  rows = sharding.host_rows(config.batch_size)
  batches = pipeline.train_batches(run.split, run.config, 0, rows)
  batches = sharding.prefetch_to_devices(run.mesh, batches)

  def train(after_first_step=lambda: None) -> tuple[float, float]:
    """Returns the seconds of all steps, and of the callback."""
    nonlocal state
    begin, waited = time.perf_counter(), 0.0
    for i in range(steps):
      state, sums = train_step(state, next(batches))
      jax.block_until_ready(sums)
      if i == 0:
        waited = timing.seconds(after_first_step)
    return time.perf_counter() - begin, waited

  train()  # warm-up
  results = []
  for _ in timing.rounds(rounds):
    without, _ = train()
    _, copying = train(lambda: to_host(vars(state)))
    with tempfile.TemporaryDirectory() as folder:
      begin = time.perf_counter()
      with CheckpointManager(folder) as checkpoints:
        _, saving = train(lambda to=checkpoints: to.save(vars(state), {}, {}))
      results.append((without, time.perf_counter() - begin, copying, saving))
  without, with_save, copying, saving = np.transpose(results)
  return {
    'times_without': timing.median(without / with_save, 3),
    'times_copy': timing.median(saving / copying, 2),
    'seconds_a_checkpoint': timing.median(with_save - without, 2),
    'images_per_sec': round(
      steps * config.batch_size / float(np.median(with_save)), 2
    ),
    'checkpoint_mb': round(sum(x.nbytes for x in jax.tree.leaves(state)) / 1e6),
    'network': config.model.name,
    'steps': steps,
  }
