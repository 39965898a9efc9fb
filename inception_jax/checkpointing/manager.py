"""Saves a run's checkpoints beside the training, and keeps the right ones."""

from collections.abc import Callable
from concurrent import futures
import contextlib
import logging
import os
import threading
from typing import Any

import jax
import numpy as np

from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing.directory import DELETED
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.distributed import sharding
from inception_jax.training.train_state import TrainState

log = logging.getLogger(__name__)


def to_host(state: TrainState) -> dict[str, Any]:
  """The fields of a state as numpy arrays; all processes ask for them."""
  whole = jax.tree.map(_whole, vars(state))
  # Copies, since on a CPU these may be views of what the next step gives up.
  return jax.tree.map(np.array, jax.device_get(whole))


def _whole(x):
  """An array of which this process has all."""
  if x.is_fully_addressable or x.is_fully_replicated:
    return x
  # One after the other, since together they may not fit on a device.
  return np.asarray(sharding.replicate(x.sharding.mesh, x))


class CheckpointManager(CheckpointDirectory):
  """The checkpoints of a folder that a training adds to.

  The newest `keep` stay, those that `forever` is true of, and the best of
  those that were evaluated. An older one goes when the newer one has been
  written and read back. Close it, or use it in a `with`: until then a save may
  still be under way, and its error unseen.
  """

  def __init__(
    self,
    directory,
    keep: int = 1,
    forever: Callable[[int], bool] = lambda step: False,
    best_by: str = 'top1',
  ):
    super().__init__(directory, best_by)
    self._keep, self._forever = keep, forever
    self._writer = futures.ThreadPoolExecutor(
      1, 'checkpoint', initializer=_give_way
    )
    self._saving = None

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.close()

  def close(self) -> None:
    """Waits for the save under way.

    Raises:
      RunError: it failed.
    """
    try:
      self._wait()
    finally:
      self._writer.shutdown()

  def last_good(self) -> str:
    """What to say to someone whose training went bad after the newest one."""
    if not self._steps:
      return 'there is no checkpoint from before it'
    return f'the last good checkpoint is {self.path(self._steps[-1])}'

  def save(
    self,
    state: TrainState,
    metrics: dict[str, float],
    network: dict[str, Any],
    config: dict[str, Any] | None = None,
  ) -> None:
    """Starts to save a state; returns as soon as it is in the host's memory.

    Args:
      state: fields that are None are left out.
      metrics: its evaluation; {} if there was none.
      network: what `models.about` says of it.
      config: of the training, resolved.

    Raises:
      RunError: the save before it failed.
      RuntimeError: there is a checkpoint of this step already.
    """
    self._wait()
    step = int(state.step)
    if step in self._steps:
      raise RuntimeError(f'there is a checkpoint of step {step} already')
    tree = to_host(state)
    about = {
      'step': step,
      'metrics': metrics,
      'network': network,
      'config': config,
    }
    self._steps.append(step)
    self._records[step] = about
    if jax.process_index() == 0:
      self._saving = self._writer.submit(self._write, step, tree, about)

  def add_metrics(self, step: int, metrics: dict[str, float]) -> None:
    """Adds its evaluation to a checkpoint that was saved before it."""
    self._wait()
    record = {**checkpoint.read_record(self.path(step)), 'metrics': metrics}
    self._records[step] = record
    if jax.process_index() == 0:
      checkpoint.write_record(self.path(step), record)

  def check(self) -> None:
    """Raises what went wrong with a save, as soon as it is known.

    Raises:
      RunError: it failed.
    """
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
    self._steps = [step for step in self._steps if step not in deleted]

  def _write(self, step, tree, about) -> list[int]:
    self.directory.mkdir(parents=True, exist_ok=True)
    checkpoint.write(self.path(step), tree, about)
    # It is proven: what it replaces can go.
    kept = {*self._steps[-self._keep :], self.best()}
    deleted = []
    for old in self._steps:
      if old not in kept and not self._forever(old):
        # By a name that none takes for a checkpoint, should this be cut off.
        path = self.path(old)
        path = path.rename(path.with_name(path.name + DELETED))
        path.rmtree()
        deleted.append(old)
    return deleted


def _give_way() -> None:
  """Where the training itself needs the cores, digests wait for them."""
  with contextlib.suppress(AttributeError, OSError):  # Linux's threads alone
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
