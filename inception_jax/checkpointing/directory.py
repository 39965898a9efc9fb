"""The checkpoints that a run has left, and the newest of them that is sound."""

from collections.abc import Callable
import logging
import math
from typing import Any

from etils import epath
import numpy as np

from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing.checkpoint import DamagedCheckpoint
from inception_jax.errors import UserError

log = logging.getLogger(__name__)

# Sign of each score that says which checkpoint is the best.
SCORES = {'top1': 1, 'top5': 1, 'loss': -1}

DAMAGED = '.damaged'

DELETED = '.deleted'


class CheckpointDirectory:
  """The checkpoints of a folder; nothing is written by asking for them."""

  def __init__(self, directory, best_by: str = 'top1'):
    """`best_by`: the score that says which is the best."""
    self.directory = epath.Path(directory).absolute()
    self._best_by = best_by
    self._steps = checkpoint.steps(self.directory)
    self._records = {}

  def steps(self) -> list[int]:
    """Of all that are here, damaged ones too, sorted."""
    return list(self._steps)

  def path(self, step: int) -> epath.Path:
    """Where the checkpoint of a step lies."""
    return self.directory / str(step)

  def candidates(self, which: str) -> list[int]:
    """The steps that 'latest', 'best' or a number can mean, in turn.

    Raises:
      UserError: there is no such checkpoint.
    """
    if not self._steps:
      raise UserError(f'no checkpoint in {self.directory}')
    if which == 'latest':
      return self._steps[::-1]
    if which == 'best':
      best = self.best()
      if best is None:
        raise UserError(f'no checkpoint in {self.directory} was evaluated')
      return [best]
    if which.isdecimal() and int(which) in self._steps:
      return [int(which)]
    raise UserError(
      f'--checkpoint={which}: expected latest, best, a path, or one of the '
      f'steps in {self.directory}: {", ".join(map(str, self._steps))}'
    )

  def record(self, step: int) -> dict[str, Any]:
    """What was saved with a checkpoint.

    Returns:
      'step', 'metrics' (of its evaluation; {} if there was none), 'network'
      (what `models.about` said), 'config' (None of imported weights),
      'versions', and 'leaves', its arrays.

    Raises:
      Damaged: it cannot be read, or was changed.
    """
    if step not in self._records:
      path = self.path(step)
      record = checkpoint.read_record(path)
      if record['step'] != step:
        raise DamagedCheckpoint(path, f'it is of step {record["step"]}')
      self._records[step] = record
    return self._records[step]

  def newest(self) -> tuple[int, dict[str, Any]]:
    """The newest step that has a sound record, and the record.

    Raises:
      UserError: there is none.
    """
    step, record, _ = self._first(self._steps[::-1], self.record, log.debug)
    return step, record

  def read(
    self, steps: list[int], only: Callable[[dict], set[str]]
  ) -> tuple[int, dict[str, Any], dict[str, np.ndarray]]:
    """Reads the first of some checkpoints that is sound; warns of the others.

    Args:
      steps: of the checkpoints.
      only: takes a record; the fields of the state that are wanted.

    Returns:
      The step, its record, and the arrays as `checkpoint.read` gives them.

    Raises:
      UserError: none of them is sound.
    """

    return self._first(steps, lambda s: self.read_one(s, only), log.error)

  def read_one(
    self, step: int, only: Callable[[dict], set[str]]
  ) -> dict[str, np.ndarray]:
    """The arrays of one checkpoint, as `read`.

    Raises:
      Damaged: it is not what was saved.
    """
    record = self.record(step)
    return checkpoint.read(self.path(step), record, only(record))

  def resume(self) -> tuple[int, dict[str, Any], dict[str, np.ndarray]]:
    """The newest sound checkpoint, whole; whatever is newer is set aside.

    What saves that were cut off have left is deleted.

    Returns:
      As `read`.

    Raises:
      UserError: there is no sound checkpoint.
    """
    for path in self.directory.iterdir():
      if checkpoint.is_unfinished(path) or path.name.endswith(DELETED):
        path.rmtree()
    found = self.read(self._steps[::-1], checkpoint.state_fields)
    for step in [step for step in self._steps if step > found[0]]:
      log.error('set aside as %s', self.set_aside(step))
    return found

  def set_aside(self, step: int) -> epath.Path:
    """Renames a damaged checkpoint, so that nothing takes it for one."""
    path, i = self.path(step), 1
    aside = path.with_name(path.name + DAMAGED)
    while aside.exists():
      i += 1
      aside = path.with_name(f'{path.name}{DAMAGED}-{i}')
    path.rename(aside)
    self._steps.remove(step)
    return aside

  def best(self) -> int | None:
    """The step of the best of those that were evaluated, the earliest such."""
    evaluated = [step for step in self._steps if self.scores(step)]
    return max(
      evaluated, key=lambda s: self._worth(self.scores(s)), default=None
    )

  def is_best(self, scores: dict[str, float]) -> bool:
    """Whether an evaluation is better than that of any checkpoint here."""
    best = self.best()
    if not scores or best is None:
      return bool(scores)
    return self._worth(scores) > self._worth(self.scores(best))

  def _first(self, steps, get, says):
    faults = []
    for step in steps:
      try:
        found = get(step)
      except DamagedCheckpoint as error:
        faults += error.faults
        continue
      for fault in faults:
        says('%s; taking step %d', fault, step)
      return step, self.record(step), found
    raise UserError(
      *faults,
      f'no sound checkpoint in {self.directory}: restore one from a copy, or '
      'move the folder away to start anew',
    )

  def scores(self, step: int) -> dict[str, float]:
    """Of a checkpoint's evaluation; {} if there was none."""
    try:
      return self.record(step)['metrics']
    except DamagedCheckpoint:
      return {}

  def _worth(self, scores) -> float:
    worth = SCORES[self._best_by] * scores[self._best_by]
    return -math.inf if math.isnan(worth) else worth
