"""The checkpoints of a run's folder: listed, read, and verified."""

from collections.abc import Callable
import contextlib
import logging
import math
from typing import Any

from etils import epath
import numpy as np

from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing import contents
from inception_jax.checkpointing import identity
from inception_jax.checkpointing.checkpoint import DamagedCheckpoint
from inception_jax.distributed import session
from inception_jax.errors import RunError
from inception_jax.errors import UserError

log = logging.getLogger(__name__)

# Metrics that can rank checkpoints: 1 if higher is better, -1 if lower.
_METRIC_SIGNS = {'top1': 1, 'top5': 1, 'balanced_accuracy': 1, 'loss': -1}


class CheckpointDirectory:
  """The checkpoints of a folder, which does not have to exist.

  Only `mark_damaged` changes the folder. `best_by` is the metric of
  `_METRIC_SIGNS` that ranks checkpoints; '': that of the run's config.
  """

  def __init__(self, directory, best_by: str = '', written: bool = False):
    """Reads the names in the folder; `written`: others will be written to it.

    Raises:
      UserError: it cannot be read, or has a name that orbax misunderstands.
    """
    if fault := contents.cannot_hold(str(directory), written):
      raise UserError(f'no checkpoints can be in {fault}')
    self.directory = epath.Path(directory).absolute()
    self._best_by = best_by
    self._steps = contents.read(self.directory).steps
    self._records = {}

  def steps(self) -> list[int]:
    """Returns the steps of all checkpoints, sorted, damaged ones too."""
    return list(self._steps)

  def path(self, step: int) -> epath.Path:
    """Returns the path of a step's checkpoint."""
    return self.directory / str(step)

  def candidates(self, which: str) -> list[int]:
    """Returns the steps to try for 'latest', 'best' or a number, in order.

    Raises:
      UserError: there is no such checkpoint.
    """
    if not self._steps:
      raise UserError(f'no checkpoint in {self.directory}')
    if which == 'latest':
      return self._steps[::-1]
    if which == 'best':
      best = self.best_step()
      if best is None:
        raise UserError(f'no checkpoint in {self.directory} was evaluated')
      return [best]
    if which in map(str, self._steps):
      return [int(which)]
    raise UserError(
      f'--checkpoint={which}: expected latest, best, a path, or one of the '
      f'steps in {self.directory}: {", ".join(map(str, self._steps))}'
    )

  def record(self, step: int) -> dict[str, Any]:
    """Returns the record of a checkpoint.

    Returns:
      'step'; 'metrics' of its evaluation, {} if there was none; 'network', see
      `metadata.to_dict`; 'config', None for imported weights; 'versions';
      'leaves', the shapes, dtypes and digests of its arrays.

    Raises:
      DamagedCheckpoint: the record is missing or has changed.
    """
    if step not in self._records:
      path = self.path(step)
      record = checkpoint.read_record(path)
      if record['step'] != step:
        raise DamagedCheckpoint(path, f'it is of step {record["step"]}')
      self._records[step] = record
    return self._records[step]

  def newest_record(self) -> tuple[int, dict[str, Any]]:
    """Returns the newest step whose record is sound, and that record.

    Raises:
      UserError: there is none.
    """
    return self._first_sound(self._steps[::-1], self.record, log.debug)[:2]

  def read_first_sound(
    self, steps: list[int], fields: Callable[[dict], set[str]]
  ) -> tuple[int, dict[str, Any], dict[str, np.ndarray]]:
    """Reads the first sound checkpoint; logs which ones before it are damaged.

    Every process must call this. Process 0 chooses, since another may see the
    folder later or earlier. `fields` is record → the fields of the state to
    read. Returns the step, its record, and the arrays, as
    `checkpoint.read_arrays`.

    Raises:
      UserError: none of them is sound.
    """
    read = lambda step: self.read_step(step, fields)

    def choose():
      found = self._first_sound(steps, read, log.error)
      if reason := identity.other_run(self.directory.parent, found[1]):
        log.warning('%s %s', self.path(found[0]), reason)
      return found

    return self._read_same(choose, fields)

  def read_step(
    self, step: int, fields: Callable[[dict], set[str]]
  ) -> dict[str, np.ndarray]:
    """Reads the arrays of one checkpoint; see `read_first_sound`.

    Raises:
      DamagedCheckpoint: it differs from what was saved.
    """
    record = self.record(step)
    return checkpoint.read_arrays(self.path(step), record, fields(record))

  def _read_same(self, choose, fields):
    """Reads what `choose` reads in process 0, in the others as well."""
    found = None

    def step_and_steps():
      nonlocal found
      found = choose()
      return found and [found[0], self._steps]

    chosen = session.from_primary(step_and_steps)
    if found or not chosen:
      return found
    step, self._steps = chosen
    contents.wait_for(self.path(step))
    return step, self.record(step), self.read_step(step, fields)

  def mark_damaged(self, step: int) -> epath.Path:
    """Renames a checkpoint to STEP.damaged, so that it is not read again."""
    path = self.path(step)
    with self._changing():
      renamed = path.rename(contents.free_name(path, contents.DAMAGED_SUFFIX))
    self._steps.remove(step)
    return renamed

  @contextlib.contextmanager
  def _changing(self):
    try:
      yield
    except OSError as error:
      reason = f'{self.directory} cannot be changed: {error.strerror}'
      raise RunError(reason) from error

  def best_step(self) -> int | None:
    """Returns the step with the best metrics, the earliest among equals."""
    evaluated = [step for step in self._steps if self.metrics(step)]
    return max(
      evaluated, key=lambda s: self._score(self.metrics(s)), default=None
    )

  def is_new_best(self, metrics: dict[str, float]) -> bool:
    """Returns whether metrics are better than those of every checkpoint."""
    best = self.best_step()
    if not metrics or best is None:
      return bool(metrics)
    return self._score(metrics) > self._score(self.metrics(best))

  def metrics(self, step: int) -> dict[str, float]:
    """Returns the metrics of a checkpoint, {} if not evaluated or damaged."""
    try:
      return self.record(step)['metrics']
    except DamagedCheckpoint:
      return {}

  def _score(self, metrics: dict[str, float]) -> float:
    """Returns the ranking metric, higher being better; NaN or none is worst."""
    if not self._best_by:
      config = self.newest_record()[1]['config'] or {}
      metric = config.get('best_by')
      self._best_by = metric if metric in _METRIC_SIGNS else 'top1'
    sign = _METRIC_SIGNS[self._best_by]
    score = sign * metrics.get(self._best_by, math.nan)
    return -math.inf if math.isnan(score) else score

  def _first_sound(self, steps, read, report):
    faults = []
    for step in steps:
      try:
        result = read(step)
      except DamagedCheckpoint as error:
        faults += error.faults
        continue
      for fault in faults:
        report('%s; taking step %d', fault, step)
      return step, self.record(step), result
    raise UserError(
      *faults,
      f'no sound checkpoint in {self.directory}: restore one from a copy, or '
      'move the folder away to start from scratch',
    )
