"""Saves a run's checkpoints in a thread, and deletes old ones."""

from collections.abc import Callable
from collections.abc import Mapping
from concurrent import futures
import contextlib
import logging
import os
import threading
from typing import Any

import jax
import numpy as np

from inception_jax import errors
from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing import contents
from inception_jax.checkpointing import identity
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.runtime import disk
from inception_jax.runtime import metrics_file

log = logging.getLogger(__name__)


def to_host(state: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a state's trees as numpy arrays; every process must call this."""
  whole = jax.tree.map(_replicate, dict(state))
  # Copies, since on a CPU these may be views of buffers that the next step
  # overwrites.
  return jax.tree.map(np.array, jax.device_get(whole))


def _replicate(x):
  """Returns an array of which this process holds every element."""
  if x.is_fully_addressable or x.is_fully_replicated:
    return x
  # Each goes to the host first: replicated, all may not fit on a device.
  return np.asarray(sharding.replicate(x.sharding.mesh, x))


class CheckpointManager(CheckpointDirectory):
  """The checkpoints that a training writes.

  Kept are the newest `keep_latest`, those that `keep_always` accepts, and the
  best of those that were evaluated. Others are deleted once a newer checkpoint
  has been written and read back. Use it in a `with`, or close it: until then a
  save may be in progress, and its error unreported.
  """

  def __init__(
    self,
    directory,
    keep_latest: int = 1,
    keep_always: Callable[[int], bool] = lambda step: False,
    best_by: str = 'top1',
  ):
    super().__init__(directory, best_by, written=True)
    self._keep_latest, self._keep_always = keep_latest, keep_always
    self._executor = futures.ThreadPoolExecutor(
      1, 'checkpoint', initializer=_lower_priority
    )
    self._saving = None
    self._resumed = {}

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.close()

  def close(self) -> None:
    """Waits for the save in progress; raises RunError if it failed."""
    try:
      self._wait()
    finally:
      self._executor.shutdown()

  def resume(
    self,
  ) -> tuple[int, dict[str, Any], dict[str, np.ndarray]] | None:
    """Reads the newest sound checkpoint with all fields, and cleans up.

    Every process must call this. Process 0 alone changes the folder: it renames
    damaged checkpoints that are newer, and deletes what interrupted saves and
    deletions left.

    Returns:
      As `read_first_sound`; None if there never was a checkpoint.

    Raises:
      UserError: no checkpoint is sound, or the newest is of another run.
      RunError: the folder cannot be changed.
    """

    read = lambda step: self.read_step(step, checkpoint.state_fields)

    def choose():
      if not self._clean_up():
        return None
      found = self._first_sound(self._steps[::-1], read, log.error)
      if reason := identity.other_run(self.directory.parent, found[1]):
        raise UserError(
          f'{self.path(found[0])} {reason}: move it away, or remove '
          f'{self.directory.parent / identity.FILE} to continue from it'
        )
      for step in [step for step in self._steps if step > found[0]]:
        renamed = self.mark_damaged(step)
        log.error('renamed a damaged checkpoint to %s', renamed)
      self._resumed = found[1]
      return found

    return self._read_same(choose, checkpoint.state_fields)

  def _clean_up(self) -> bool:
    """Deletes leftovers; returns whether there are checkpoints.

    Names what is not of this project, and leaves it alone.
    """
    found = contents.read(self.directory)
    with self._changing():
      for path in found.leftovers:
        path.rmtree()
    if found.others:
      names = [repr(path.name) for path in found.others]
      log.warning(
        'no checkpoints of this run, left alone in %s: %s',
        *(self.directory, ', '.join(errors.shorten(names, 10))),
      )
    for path in map(self.path, found.steps):
      if not contents.is_real_folder(path):
        log.warning('%s is a link or a file: not deleted when it is old', path)
    return found.has_checkpoints()

  def last_good_message(self) -> str:
    """Returns a clause on the newest checkpoint, for error messages."""
    if not self._steps:
      return 'there is no earlier checkpoint'
    return f'the last good checkpoint is {self.path(self._steps[-1])}'

  def save(
    self,
    state: Mapping[str, Any],
    metrics: dict[str, float],
    network: dict[str, Any],
    config: dict[str, Any] | None = None,
    **facts,
  ) -> None:
    """Starts a save; returns as soon as the state is in host memory.

    Args:
      state: trees of arrays, by field of the state, 'step' among them.
      metrics: of its evaluation; {} if there was none.
      network: see `metadata.to_dict`.
      config: of the training, resolved; None for imported weights.
      **facts: of the training, as JSON: 'data', size and digest of each split
        by description, and 'seconds', see `goodput`.

    Raises:
      RunError: the previous save failed.
      RuntimeError: this step has a checkpoint already.
    """
    self._wait()
    step = int(state['step'])
    if step in self._steps:
      raise RuntimeError(f'there is a checkpoint of step {step} already')
    arrays = to_host(state)
    record = dict(
      step=step, metrics=metrics, network=network, config=config, **facts
    )
    self._steps.append(step)
    self._records[step] = record
    if jax.process_index() == 0:
      self._saving = self._executor.submit(self._write, step, arrays, record)

  def add_metrics(self, step: int, metrics: dict[str, float]) -> None:
    """Adds the metrics of a later evaluation to a checkpoint's record.

    Then deletes those that need not be kept, such as the best one until now.
    """
    self._wait()
    record = {**checkpoint.read_record(self.path(step)), 'metrics': metrics}
    self._records[step] = record
    if jax.process_index() == 0:
      checkpoint.write_record(self.path(step), record)
      self._forget(self._delete_older())

  def check_for_errors(self) -> None:
    """Raises the RunError of a failed save; ignores one in progress."""
    if self._saving and self._saving.done():
      self._wait()

  def _wait(self):
    saving, self._saving = self._saving, None
    if not saving:
      return
    try:
      deleted = saving.result()
    except BaseException:
      self._steps.pop()
      raise
    self._forget(deleted)

  def _forget(self, deleted: list[int]) -> None:
    self._steps = [step for step in self._steps if step not in deleted]

  def _write(self, step, arrays, record) -> list[int]:
    """Writes a checkpoint; returns the steps that are deleted after that."""
    workdir = self.directory.parent
    with self._changing():
      self.directory.mkdir(parents=True, exist_ok=True)
      if record['config']:  # imported weights are no run
        record['run'] = identity.establish(workdir, self._resumed)
      # With a checkpoint, the lines before it are safe.
      if (lines := workdir / metrics_file.NAME).exists():
        disk.sync(str(lines))
    checkpoint.write(self.path(step), arrays, record)
    return self._delete_older()

  def _delete_older(self) -> list[int]:
    """Deletes the checkpoints that need not be kept; returns their steps."""
    # Not by orbax's policies: EveryNSteps takes no fractions of steps, BestN
    # keeps the latest of equals; here the earliest is kept.
    kept = {*self._steps[-self._keep_latest :], self.best_step()}
    deleted = []
    for old in self._steps:
      path = self.path(old)
      # What a link points to is not ours to delete.
      spare = old in kept or self._keep_always(old)
      if spare or not contents.is_real_folder(path):
        continue
      try:
        # Renamed first, so that an interrupted deletion leaves none half.
        renamed = contents.free_name(path, contents.DELETED_SUFFIX)
        path = path.rename(renamed)
        deleted.append(old)
        path.rmtree()
      except OSError as error:
        log.warning('%s was not deleted: %s', path, error.strerror)
    return deleted


def _lower_priority() -> None:
  """Lowers this thread's priority, so that saving does not slow training."""
  # Only Linux has a priority per thread.
  with contextlib.suppress(AttributeError, OSError):
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
