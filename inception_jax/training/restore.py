"""The state that a training starts from: restored, fine-tuned or initial."""

import dataclasses
import logging
from typing import Any

from etils import epath

from inception_jax import trees
from inception_jax.checkpointing import compatibility
from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.runtime import metrics_file
from inception_jax.runtime.process import is_primary
from inception_jax.training import goodput
from inception_jax.training import train_state
from inception_jax.training.run import Run
from inception_jax.training.train_state import TrainState

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Start:
  """Where a training starts.

  Attributes:
    step: steps done.
    state: after that step; None if the run is complete.
    scores: of the evaluation after that step; {} if there was none.
    seconds: what the time until then went to; see `goodput`.
    complete: whether no step and no evaluation is left.
    changed: whether the config differs from that of the checkpoint.
  """

  step: int = 0
  state: TrainState | None = None
  scores: dict[str, Any] = dataclasses.field(default_factory=dict)
  seconds: dict[str, float] = dataclasses.field(default_factory=dict)
  complete: bool = False
  changed: bool = False


def restore_or_initialize(run: Run, checkpoints: CheckpointManager) -> Start:
  """Restores the newest sound checkpoint, or creates the first state.

  Repairs metrics.jsonl, which gets the scores that only checkpoints have.

  Raises:
    UserError: no checkpoint of the run is sound, the newest is of another run,
      or the config or the classes have changed in a way that a resume does not
      allow.
    RunError: the folder of the checkpoints cannot be changed.
  """
  found = checkpoints.resume()
  _repair_metrics(run.workdir, checkpoints)
  if not found:
    state = train_state.fine_tune(
      run.trainer.init(), run.weights, run.split.class_names
    )
    return Start(state=state)
  step, record, arrays = found
  scores = record['metrics']
  complete = bool(scores) and step >= run.plan.total
  complete |= run.reached_target(scores)
  changed = compatibility.check(
    run.config, run.split.class_names, run.data, record, run.workdir, complete
  )
  if complete:
    log.info('%s is complete: step %d of %d', run.workdir, step, run.plan.total)
    return Start(step, scores=scores, complete=True)
  state = trees.restore(
    vars(run.trainer_of(step).abstract), arrays, checkpoints.path(step)
  )
  seconds = record.get('seconds')
  seconds = seconds if goodput.is_totals(seconds) else {}
  return Start(step, TrainState(**state), scores, seconds, changed=changed)


def _repair_metrics(workdir: str, checkpoints: CheckpointManager) -> None:
  if is_primary():
    metrics_file.repair(
      epath.Path(workdir) / metrics_file.NAME,
      {step: checkpoints.metrics(step) for step in checkpoints.steps()},
    )
