"""Evaluates each checkpoint of a training as it appears."""

import logging
import time

import jax

from inception_jax import evaluate
from inception_jax import lock
from inception_jax import plan as plan_lib
from inception_jax import pretrained
from inception_jax import runs
from inception_jax.config import RunError
from inception_jax.config import UserError
from inception_jax.data import sources
from inception_jax.history import History
from inception_jax.weights import Weights
from inception_jax.writer import Writer

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
  directory, evaluator = runs.folder(workdir), None
  scores, seen, last_step = {}, set(), None
  waiting = time.monotonic()
  with Writer(workdir, alone=False) as writer:
    while True:
      history = History(directory)
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
    if step in History(runs.folder(workdir)).steps():
      raise
    return None


def _last_step(config, workdir: str, mesh) -> int:
  """Of the whole training."""
  config, _ = pretrained.begin(config, workdir, mesh)
  split = sources.load(config, config.data.train_split)
  return plan_lib.plan(config, split.size).total
