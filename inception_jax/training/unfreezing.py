"""Gradual unfreezing (Howard and Ruder 2018): more is trained after a while.

A phase is the steps between two changes of `fine_tune.unfreeze_at`; what is
trained is a function of the step alone. Each phase has an optimizer and a
compiled step of its own.
"""

import itertools
import logging

from inception_jax import trees
from inception_jax.config import durations
from inception_jax.training import train_state

log = logging.getLogger(__name__)


def freezes(fine_tune) -> tuple[tuple[str, ...], ...]:
  """Returns what is frozen in each phase, as `config.fine_tune.freeze`."""
  found = [tuple(fine_tune.freeze)]
  for pattern, _ in fine_tune.unfreeze_at:
    found.append((f'!{pattern}', *found[-1]))
  return tuple(found)


def phase(plan: durations.Plan, step: int) -> int:
  """Returns the phase of a step, the first of which is 1.

  It is also the phase of the state after that step, so that of step 0 is 0.
  """
  return sum(step > at for at in plan.unfreeze)


def phases(plan: durations.Plan, start: int) -> dict[int, range]:
  """Returns the phases of the steps after `start`, and the steps of each."""
  ends = (*plan.unfreeze, plan.total)
  return {
    i: range(max(start, begin) + 1, end + 1)
    for i, (begin, end) in enumerate(itertools.pairwise((0, *ends)))
    if end > start
  }


def log_trained(params, freeze: tuple[str, ...], step: int) -> None:
  """Logs which modules are trained from a step on."""
  leaves = trees.named_leaves(params)
  trained = {k: x for k, x in leaves.items() if not trees.is_frozen(k, freeze)}
  stages = dict.fromkeys(name.partition('/')[0] for name in trained)
  log.info(
    'from step %d on, %.2f of %.2f M parameters are trained: %s',
    step,
    train_state.num_params(trained) / 1e6,
    train_state.num_params(params) / 1e6,
    'all' if len(trained) == len(leaves) else ', '.join(stages),
  )


def check_plan(config, plan: durations.Plan) -> list[str]:
  """Returns a fault for each entry of `unfreeze_at` that comes at a wrong time.

  Args:
    config: the whole config.
    plan: its durations in steps.
  """
  faults, before = [], 0
  for (pattern, duration), at in zip(
    config.fine_tune.unfreeze_at, plan.unfreeze, strict=True
  ):
    entry = f'fine_tune.unfreeze_at: {pattern!r} at {duration!r}, step {at},'
    if at <= before:
      faults.append(f'{entry} is not after step {before}, of the entry before')
    elif at >= plan.total:
      faults.append(f'{entry} is not before the last step, {plan.total}')
    before = max(before, at)
  return faults


def check_patterns(config, params) -> list[str]:
  """Returns a fault for each pattern of `unfreeze_at` that unfreezes nothing.

  Args:
    config: the whole config.
    params: the parameters, or their shapes.
  """
  faults, names = [], trees.leaf_names(params)
  entries = config.fine_tune.unfreeze_at
  for (pattern, _), freeze in zip(
    entries, freezes(config.fine_tune), strict=False
  ):
    known = [name for name in names if trees.matches(name, pattern)]
    if not known:
      faults.append(f'fine_tune.unfreeze_at: {pattern!r} matches no parameter')
    elif not any(trees.is_frozen(name, freeze) for name in known):
      faults.append(
        f'fine_tune.unfreeze_at: {pattern!r} matches only parameters that are '
        'trained before; name them in fine_tune.freeze'
      )
  return faults


def is_pairs(value) -> bool:
  """Returns whether a value is (glob, duration) pairs, as `unfreeze_at`."""
  return all(
    isinstance(pair, tuple)
    and len(pair) == 2
    and all(isinstance(part, str) for part in pair)
    for pair in value
  )


def check(config) -> list[str]:
  """Returns a fault if `fine_tune.unfreeze_at` is not pairs of strings."""
  value = config.fine_tune.unfreeze_at
  if is_pairs(value):
    return []
  return [
    f'fine_tune.unfreeze_at={value!r}: expected (glob, duration) pairs, as '
    "(('mixed_7*','2 epochs'),('*','4 epochs'))"
  ]
