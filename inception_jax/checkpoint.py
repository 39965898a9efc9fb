"""Checkpoints, asynchronous, of orbax; the only file that imports it."""

import contextlib
import json
import logging
from typing import Any

from etils import epath
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from inception_jax import config as config_lib
from inception_jax import state as state_lib
from inception_jax.state import TrainState

log = logging.getLogger(__name__)

_SCORE = 'top1'
_UNKNOWN = -1.0
_STATE = 'state'
_NETWORK = 'network'


class Checkpoints:
  """The checkpoints of a folder: the newest `keep`, and the best besides.

  The best is the one with the highest top-1 among those that were evaluated.
  Close it, or use it in a `with`: until then a save may still be under way,
  and its error unseen.
  """

  def __init__(self, directory, keep: int = 1):
    score = lambda metrics: metrics.get(_SCORE, _UNKNOWN)
    self.directory = epath.Path(directory).absolute()
    preserved = checkpoint_managers.AnyPreservationPolicy(
      [
        checkpoint_managers.LatestN(keep),
        checkpoint_managers.BestN(get_metric_fn=score, n=1),
      ]
    )
    options = ocp.CheckpointManagerOptions(
      preservation_policy=preserved, best_fn=score
    )
    try:
      self._manager = ocp.CheckpointManager(
        self.directory,
        options=options,
        item_handlers={
          _STATE: ocp.PyTreeCheckpointHandler(),
          _NETWORK: ocp.JsonCheckpointHandler(),
        },
      )
    except ValueError as error:
      # It reads the metrics of all checkpoints and does not say whose failed.
      raise config_lib.UserError(
        *(
          _unreadable(path.parent.parent, error)
          for path in self.directory.glob('*/metrics/metrics')
          if not _is_json(path)
        )
      ) from error

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.close()

  def close(self):
    """Waits for the save under way and raises its error, if it had one."""
    try:
      self._manager.wait_until_finished()
    finally:
      self._manager.close()

  def latest_step(self) -> int | None:
    """The newest step saved here, or None."""
    return self._manager.latest_step()

  def last_good(self) -> str:
    """What to say to someone whose training went bad after the newest one."""
    step = self.latest_step()
    if step is None:
      return 'there is no checkpoint from before it'
    return f'the last good checkpoint is {self.directory / str(step)}'

  def metrics(self, step: int) -> dict[str, float]:
    """The evaluation that was saved with the checkpoint; {} if none was."""
    with self._reading(step):
      return self._manager.metrics(step) or {}

  def best_score(self) -> float:
    """The highest top-1 of any checkpoint; −1 if none was evaluated."""
    evaluated = [self.metrics(step) for step in self._manager.all_steps()]
    return max((m[_SCORE] for m in evaluated if m), default=_UNKNOWN)

  def network(self, step: int) -> dict[str, Any]:
    """What `models.about` said of the network when it was saved."""
    with self._reading(step):
      args = ocp.args.Composite(**{_NETWORK: ocp.args.JsonRestore()})
      return self._manager.restore(step, args=args)[_NETWORK]

  def fields(self, step: int) -> set[str]:
    """The fields of the state that the checkpoint has."""
    with self._reading(step):
      stored = self._manager.item_metadata(step)[_STATE].tree
    return {key for key, tree in stored.items() if jax.tree.leaves(tree)}

  def save(
    self,
    state: TrainState,
    metrics: dict[str, float],
    network: dict[str, Any],
  ) -> None:
    """Starts to save a state.

    Args:
      state: fields that are None are left out.
      metrics: its evaluation; {} if there was none.
      network: what `models.about` says of it.

    Raises:
      RuntimeError: orbax refused, as it does for a step that is there already.
    """
    step = int(state.step)
    saved = self._manager.save(
      step,
      args=ocp.args.Composite(
        **{
          _STATE: ocp.args.PyTreeSave(vars(state)),
          _NETWORK: ocp.args.JsonSave(network),
        }
      ),
      metrics=metrics,
    )
    if not saved:
      raise RuntimeError(f'the checkpoint of step {step} was not saved')

  def restore_or(self, init, abstract: TrainState) -> TrainState:
    """The newest checkpoint here or, in a new workdir, `init()`.

    Args:
      init: makes the first state.
      abstract: its shapes, dtypes and shardings.

    Raises:
      UserError: the checkpoint is of another network or optimizer.
    """
    step = self.latest_step()
    if step is None:
      return init()
    return TrainState(**self.restore(step, vars(abstract)))

  def restore(self, step: int, abstract: dict[str, Any]) -> dict[str, Any]:
    """Those fields of the state that `abstract` has, placed as it says.

    Raises:
      UserError: shapes or names differ; every difference is listed.
    """
    with self._reading(step):
      stored = self._manager.item_metadata(step)[_STATE].tree
    faults = state_lib.differences(
      {key: stored.get(key) for key in abstract}, abstract
    )
    if faults:
      raise config_lib.UserError(
        f'checkpoint {step} in {self.directory} is not of this config:',
        *faults,
      )
    restore_args = ocp.checkpoint_utils.construct_restore_args(abstract)
    args = ocp.args.PyTreeRestore(
      item=abstract, restore_args=restore_args, partial_restore=True
    )
    with self._reading(step):
      restored = self._manager.restore(
        step, args=ocp.args.Composite(**{_STATE: args})
      )
    log.info('restored step %d from %s', step, self.directory)
    return restored[_STATE]

  @contextlib.contextmanager
  def _reading(self, step: int):
    """Says of whatever goes wrong with a damaged checkpoint which one it is."""
    try:
      yield
    except Exception as error:  # orbax has no class of its own for these
      path = self.directory / str(step)
      raise config_lib.UserError(_unreadable(path, error)) from error

  def find(self, which: str) -> int:
    """The step of 'latest', 'best' or a number.

    Raises:
      UserError: there is no such checkpoint.
    """
    steps = sorted(self._manager.all_steps())
    if not steps:
      raise config_lib.UserError(f'no checkpoint in {self.directory}')
    if which == 'latest':
      return steps[-1]
    if which == 'best':
      best = self._manager.best_step()
      if not self.metrics(best):
        raise config_lib.UserError(
          f'no checkpoint in {self.directory} was evaluated'
        )
      return best
    if which.isdecimal() and int(which) in steps:
      return int(which)
    raise config_lib.UserError(
      f'--checkpoint={which}: expected latest, best, a path, or one of the '
      f'steps in {self.directory}: {", ".join(map(str, steps))}'
    )


def _unreadable(path: epath.Path, error: Exception) -> str:
  reason = ' '.join(str(error).split())[:200] or type(error).__name__
  return (
    f'checkpoint {path} cannot be read, move it away to go on without it: '
    f'{reason}'
  )


def _is_json(path: epath.Path) -> bool:
  try:
    json.loads(path.read_text())
  except ValueError:
    return False
  return True
