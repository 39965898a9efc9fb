"""One process's part of a training: what happens around each step."""

import contextlib
import logging
import math
from typing import Any

from flax import traverse_util
import jax

from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.distributed import sharding
from inception_jax.evaluation.evaluator import Evaluation
from inception_jax.models.batch_norm import cold_statistics
from inception_jax.runtime import preemption
from inception_jax.runtime.metric_writer import MetricWriter
from inception_jax.runtime.preemption import Preempted
from inception_jax.runtime.profiler import Profiler
from inception_jax.runtime.watchdog import Watchdog
from inception_jax.training import feed
from inception_jax.training import goodput
from inception_jax.training import growth
from inception_jax.training import unfreezing
from inception_jax.training.divergence import DivergenceMonitor
from inception_jax.training.progress import Progress
from inception_jax.training.restore import Start
from inception_jax.training.run import Run
from inception_jax.training.train_state import TrainState

log = logging.getLogger(__name__)


class Session(contextlib.ExitStack):
  """Feeds, logs, evaluates, saves and watches the steps of a training.

  Each method can be left out of a loop of one's own.
  """

  def __init__(
    self,
    run: Run,
    start: Start,
    checkpoints: CheckpointManager,
    check_lock,
  ):
    """Compiles the steps; they and the data continue after `start`.

    `check_lock` raises RunError if the workdir is not ours any more.
    """
    super().__init__()
    config = run.config
    self._run, self._start = run, start
    self._checkpoints, self._check_lock = checkpoints, check_lock
    self._any_process = sharding.any_process(run.mesh)
    self._steps, self._divergence, self._image_size = {}, {}, 0
    self._warned, self._goodput = False, goodput.Goodput(start.seconds)
    batches, self._evaluator = feed.open_feed(run, start)
    if start.step < run.plan.total:
      self._batches = sharding.prefetch_to_devices(run.mesh, batches)
    # All phases and sizes now: memory that is too small for one shows at once,
    # and no step takes minutes.
    for phase, steps in unfreezing.phases(run.plan, start.step).items():
      trainer = run.trainers[phase]
      sizes = growth.image_sizes(config.data, run.plan, steps)
      with self._goodput.counted(goodput.COMPILING):
        self._steps[phase] = trainer.compile_sizes(sizes)
      self._divergence[phase] = DivergenceMonitor(
        trainer.model,
        config.data,
        trainer.freeze,
        trainer.abstract,
        checkpoints.last_good_message,
      )
    self._watchdog = Watchdog(
      config.watchdog_minutes,
      run.workdir,
      jax.process_index(),
      jax.process_count(),
    )

  def __enter__(self):
    super().__enter__()
    run, start = self._run, self._start
    writer = MetricWriter(run.workdir, not start.changed)
    self._writer = self.enter_context(writer)
    self._writer.write_hparams(run.config)
    self._progress = self.enter_context(
      Progress(run.plan, run.config.batch_size, self._check, start.step)
    )
    first_traced = start.step + run.plan.profile_from + 1
    self._profiler = self.enter_context(
      Profiler(run.workdir, first_traced, run.plan.profile)
    )
    self.enter_context(self._watchdog.watching())
    self._goodput.started()
    return self

  def next_batch(self, step: int) -> dict[str, jax.Array]:
    """Returns the batch of `step`; waiting for it counts as `data_wait`."""
    self._profiler.step(step)
    return self._progress.next(self._batches)

  def train_step(self, step: int, state: TrainState, batch):
    """Returns the state after `step` and its sums; see `make_train_step`."""
    plan, trainer = self._run.plan, self._run.trainer_of(step)
    if step - 1 in plan.unfreeze:
      state = trainer.unfreeze(state)
    if plan.unfreeze and step - 1 in (self._start.step, *plan.unfreeze):
      unfreezing.log_trained(state.params, trainer.freeze, step)
    size = growth.image_size(self._run.config.data, plan, step)
    if size != self._image_size and self._run.config.data.grow_from:
      log.info('from step %d on, images have %d×%d pixels', step, size, size)
    self._image_size = size
    return self._steps[self._phase(step)][size](state, batch)

  def count(self, sums: dict[str, jax.Array]) -> None:
    """Counts the step just dispatched; raises RunError if a save failed."""
    self._progress.add(sums)
    self._watchdog.step_done()
    self._checkpoints.check_for_errors()

  def log_if_due(self, step: int, state: TrainState) -> None:
    """Logs and writes the metrics since the last time, and histograms.

    Raises:
      FloatingPointError: training diverged.
    """
    plan = self._run.plan
    if plan.due(plan.log_every, step):
      values = self._progress.report(step)
      values['goodput'] = goodput.share(self.seconds())
      self._writer.write(step, 'train', values)
      monitor = self._divergence[self._phase(step)]
      norms = monitor.norms_by_stage(self._progress.norms)
      self._writer.write_scalars(step, 'train', norms)
    if plan.due(plan.histogram_every, step):
      params = traverse_util.flatten_dict(state.params, sep='/')
      self._writer.write_histograms(step, 'train', params)

  def evaluate_if_due(self, step: int, state: TrainState) -> dict[str, Any]:
    """Evaluates and writes the scores; {} if none is due or it is interrupted.

    Raises:
      FloatingPointError: training diverged.
    """
    plan = self._run.plan
    if not plan.due(plan.eval_every, step):
      return {}
    self._progress.check_divergence(step)
    try:
      with self._goodput.counted(goodput.EVALUATION):
        evaluation = self._evaluate(step, state)
    except Preempted:  # evaluated after the resume
      return {}
    evaluation.scores['images_per_sec'] = self._progress.images_per_sec
    self._write_evaluation(step, evaluation)
    return evaluation.scores

  def scores_of_start(self) -> dict[str, Any]:
    """Returns the scores of the restored state.

    If an evaluation was due there and has no scores (it was interrupted, or
    eval_every or train_for changed), evaluates now and adds the scores to the
    checkpoint, as if the training had not stopped.

    Raises:
      Preempted: a signal interrupts the evaluation.
    """
    plan, step = self._run.plan, self._start.step
    due = step and (plan.due(plan.eval_every, step) or step >= plan.total)
    if self._start.scores or not due:
      return self._start.scores
    with self._goodput.counted(goodput.EVALUATION):
      evaluation = self._evaluate(step, self._start.state)
    evaluation.scores['images_per_sec'] = math.nan
    self._write_evaluation(step, evaluation)
    self._checkpoints.add_metrics(step, evaluation.scores)
    return evaluation.scores

  def stop_requested(self, step: int, scores: dict[str, Any]) -> bool:
    """Returns whether to stop for a signal to any process.

    Not if the training ends at this step anyway.
    """
    requested = self._any_process(preemption.requested())
    ends = scores and step == self._run.plan.total
    return requested and not (ends or self._run.reached_target(scores))

  def save_if_due(
    self, step: int, state: TrainState, scores: dict[str, Any], stop: bool
  ) -> None:
    """Starts to save a checkpoint if it is due, best, last, or before a stop.

    Raises FloatingPointError if the training diverged, RunError if the save
    before it failed or the workdir is gone.
    """
    plan = self._run.plan
    if (
      stop
      or self._run.reached_target(scores)
      or self._checkpoints.is_new_best(scores)
      or plan.due(plan.checkpoint_every, step)
    ):
      self._progress.check_divergence(step)
      with self._goodput.counted(goodput.SAVING):
        self._check_lock()
        self._checkpoints.save(
          vars(state),
          scores,
          self._run.network,
          self._run.config.to_dict(),
          data=self._run.data,
          seconds=self.seconds(),
        )

  def seconds(self) -> dict[str, float]:
    """Returns those of all starts by kind; see `goodput.Goodput`."""
    return self._goodput.totals(*self._progress.seconds)

  def _phase(self, step: int) -> int:
    return unfreezing.phase(self._run.plan, step)

  def _check(self, step: int, metrics: dict) -> None:
    self._divergence[self._phase(step)].check(step, metrics)

  def _evaluate(self, step: int, state: TrainState) -> Evaluation:
    """Evaluates the moving average if there is one."""
    config = self._run.config
    if not self._warned and (line := cold_statistics(config, step)):
      self._warned = True
      log.warning('%s', line)
    if config.ema_decay and config.eval_raw:
      raw = self._evaluator(
        state.variables(ema=False), before_batch=self._before_eval_batch
      )
      self._write_evaluation(step, raw, raw=True)
    # With optimizer.shard_state, the average is sharded; the evaluator takes
    # replicated weights.
    variables = state.variables(ema=bool(config.ema_decay))
    variables = sharding.replicate(self._run.mesh, variables)
    return self._evaluator(variables, before_batch=self._before_eval_batch)

  def _write_evaluation(self, step: int, evaluation: Evaluation, raw=False):
    speed = {'eval_images_per_sec': evaluation.images_per_sec}
    self._writer.write_evaluation(step, {**evaluation.scores, **speed}, raw)

  def _before_eval_batch(self) -> None:
    self._watchdog.step_done()
    if self._any_process(preemption.requested()):
      raise Preempted('the restored step')
