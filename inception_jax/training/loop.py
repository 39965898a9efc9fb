"""The training loop."""

import logging

import jax

from inception_jax.distributed import session as processes
from inception_jax.runtime import lock
from inception_jax.runtime import preemption
from inception_jax.runtime.preemption import Preempted
from inception_jax.training import goodput
from inception_jax.training import restore
from inception_jax.training import run as run_lib
from inception_jax.training.session import Session

log = logging.getLogger(__name__)


def train(config, workdir: str, mesh: jax.sharding.Mesh) -> dict[str, float]:
  """Trains to the end, from the newest checkpoint in `workdir` if it has one.

  Args:
    config: the whole config, checked.
    workdir: gets config.json, parameters.txt, metrics.jsonl, checkpoints/,
      TensorBoard events, and bad_images.txt if images cannot be decoded.
    mesh: the devices; the batch is sharded over them.

  Returns:
    The last evaluation {'step', 'loss', 'top1', 'top5', 'count'}, with
    'images_per_sec' of the training alone.

  Raises:
    UserError: a fault that only the data or the checkpoint can show.
    RunError: a checkpoint could not be saved, or the workdir is gone.
    FloatingPointError: training diverged; names the step and the layer.
    Preempted: a signal asked it to stop, and all its steps are saved.
  """
  # Nothing is written before the data, the weights and the disk are checked.
  run = run_lib.prepare(config, workdir, mesh)
  with (
    lock.held(workdir) as check_lock,
    run_lib.open_checkpoints(run) as checkpoints,
  ):
    start = restore.restore_or_initialize(run, checkpoints)
    if start.complete:
      return {'step': start.step, **start.scores}
    run_lib.write_description(run, start.step)

    with Session(run, start, checkpoints, check_lock) as session:
      processes.meet()
      preemption.defer_signals()
      step, state, scores = start.step, start.state, session.scores_of_start()
      while step < run.plan.total and not run.reached_target(scores):
        step += 1
        batch = session.next_batch(step)
        state, sums = session.train_step(step, state, batch)
        session.count(sums)
        session.log_if_due(step, state)
        scores = session.evaluate_if_due(step, state)
        stop = session.stop_requested(step, scores)
        session.save_if_due(step, state, scores, stop)
        if stop:
          raise Preempted(f'step {step} of {run.plan.total}')
      log.info('%s', goodput.describe(session.seconds()))
  if run.reached_target(scores):
    target = config.stop_at_top1
    log.info('step %d reaches stop_at_top1=%s', step, target)
  return {'step': step, **scores}
