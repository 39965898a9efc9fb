"""Evaluates each checkpoint of a training as it appears."""

import logging
import time

import jax

from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.config import durations
from inception_jax.data.sources import registry
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluate
from inception_jax.runtime import lock
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
  """Evaluates what is there, then what comes, until the training has ended.

  The scores go where the training's own go, as split 'eval'. What is there
  already, by the training or by an earlier call, is not evaluated again.

  Args:
    config: the whole config of the training.
    workdir: of the training, which may not have begun.
    mesh: the devices.
    patience_minutes: how long to wait for a training that does not go on.

  Returns:
    The scores of the last checkpoint, as `evaluate.evaluate`.

  Raises:
    UserError: the checkpoints are not of this config.
    RunError: nothing happened for so long.
  """
  if jax.process_count() > 1:
    raise UserError('--follow takes one process')
  directory, evaluator = lookup.checkpoint_folder(workdir), None
  scores, seen, last_step = {}, set(), None
  waiting = time.monotonic()
  with MetricWriter(workdir, alone=False) as writer:
    while True:
      history = CheckpointDirectory(directory)
      for step in history.steps():
        if step in seen:
          continue
        seen.add(step)
        known = writer.scores().get(step) or history.scores(step)
        if not known:
          weights = _weights(config, workdir, step, mesh)
          if weights is None:
            log.warning('step %d went before it was evaluated', step)
            continue
          if evaluator is None:
            prepared = evaluate.prepare(
              config, [weights], mesh, evaluate.Options()
            )
            evaluator = prepared.evaluator
          known = evaluator(weights.variables)
          writer.evaluation(step, known)
        scores = {'step': step, **known}
        last_step = last_step or _last_step(config, workdir, mesh)
        waiting = time.monotonic()
      if scores and (
        scores['step'] >= last_step or evaluate.reached(config, scores)
      ):
        return scores
      if time.monotonic() - waiting > 60 * patience_minutes:
        if not lock.in_use(workdir):
          raise RunError(
            f'no training in {workdir}, and no new checkpoint for '
            f'{patience_minutes:g} minutes'
          )
        waiting = time.monotonic()
      time.sleep(POLL_SECONDS)


def _weights(config, workdir: str, step: int, mesh) -> Weights | None:
  """Of a checkpoint; None if the training has deleted it by now."""
  try:
    return pretrained.find(workdir, str(step), mesh, config=config)[1]
  except UserError:
    if step in CheckpointDirectory(lookup.checkpoint_folder(workdir)).steps():
      raise
    return None


def _last_step(config, workdir: str, mesh) -> int:
  """Of the whole training."""
  config, _ = pretrained.resolve_start(config, workdir, mesh)
  split = registry.load(config, config.data.train_split)
  return durations.plan(config, split.size).total
