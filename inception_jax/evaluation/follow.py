"""Evaluates each checkpoint of a training as it appears."""

import logging
import time

from etils import epath
import jax

from inception_jax.buckets import mirror
from inception_jax.buckets import runs
from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.config import durations
from inception_jax.data.sources import registry
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluate
from inception_jax.runtime import lock
from inception_jax.runtime import metrics_file
from inception_jax.runtime.metric_writer import MetricWriter
from inception_jax.weights import pretrained
from inception_jax.weights.convert import Weights

log = logging.getLogger(__name__)

POLL_SECONDS = 5.0


def follow(
  config,
  workdir: str,
  mesh: jax.sharding.Mesh,
  patience_minutes: float,
) -> dict[str, float]:
  """Evaluates every checkpoint, present and future, until the training ends.

  The scores are written where the training writes its own, as split 'eval'.
  Checkpoints that the training or an earlier call evaluated are skipped.

  Args:
    config: the whole config of the training.
    workdir: of the training, which may not have started.
    mesh: the devices.
    patience_minutes: how long to wait for a training that is not running.

  Returns:
    The scores of the last checkpoint, as `evaluate.evaluate`.

  Raises:
    UserError: the checkpoints do not fit the config.
    RunError: no training, and no new checkpoint, for so long.
  """
  if jax.process_count() > 1:
    raise UserError('--follow takes one process')
  follower = _Follower(config, workdir, mesh)
  metrics_file.log_damage(epath.Path(workdir) / metrics_file.NAME)
  with MetricWriter(workdir) as writer:
    last_news = time.monotonic()
    while True:
      if follower.evaluate_new(writer):
        runs.publish()
        last_news = time.monotonic()
      if follower.finished():
        return follower.scores
      if time.monotonic() - last_news > 60 * patience_minutes:
        if not lock.in_use(workdir):
          raise RunError(
            f'no training in {workdir}, and no new checkpoint for '
            f'{patience_minutes:g} minutes'
          )
        last_news = time.monotonic()
      time.sleep(POLL_SECONDS)


class _Follower:
  """The checkpoints of a training that were seen so far.

  Attributes:
    scores: 'step' and the scores of the latest one; {} before the first.
  """

  def __init__(self, config, workdir: str, mesh: jax.sharding.Mesh):
    self._config, self._workdir, self._mesh = config, workdir, mesh
    self._evaluator, self._last_step = None, None
    self._seen = set()
    self.scores = {}

  def evaluate_new(self, writer: MetricWriter) -> bool:
    """Evaluates checkpoints not yet seen; returns whether there were any."""
    directory = self._directory()
    new = [step for step in directory.steps() if step not in self._seen]
    scored = False
    for step in new:
      self._seen.add(step)
      scores = writer.scores().get(step) or directory.metrics(step)
      if not scores:
        weights = self._weights(step)
        if weights is None:
          log.warning('step %d was deleted before it was evaluated', step)
          continue
        scores = self._evaluate(weights)
        writer.write_evaluation(step, scores)
      self.scores = {'step': step, **scores}
      scored = True
    return scored

  def finished(self) -> bool:
    """Returns whether the training has ended and its end is evaluated."""
    if not self.scores:
      return False
    self._last_step = self._last_step or self._total_steps()
    target = self._config.stop_at_top1
    at_end = self.scores['step'] >= self._last_step
    return at_end or evaluate.reached(target, self.scores)

  def _directory(self) -> CheckpointDirectory:
    mirror.refresh(self._workdir)
    return CheckpointDirectory(lookup.checkpoint_folder(self._workdir))

  def _weights(self, step: int) -> Weights | None:
    """Reads a checkpoint; None if the training has deleted it by now."""
    try:
      return pretrained.restore(self._workdir, str(step), self._mesh)[1]
    except UserError:
      if step in self._directory().steps():
        raise
      return None

  def _evaluate(self, weights: Weights) -> dict[str, float]:
    if self._evaluator is None:
      prepared = evaluate.prepare(
        self._config, [weights], self._mesh, evaluate.Options()
      )
      self._evaluator = prepared.evaluator
    else:
      pretrained.resolve(self._config, weights)  # checks the network
    return self._evaluator(weights.variables).scores

  def _total_steps(self) -> int:
    config, _ = pretrained.resolve_for_training(
      self._config, self._workdir, self._mesh
    )
    split = registry.load(config, config.data.train_split)
    return durations.plan(config, split.size).total
