"""How two configs differ, and which differences a resume accepts."""

import fnmatch
import json
from typing import Any

from inception_jax.config import serialization

# What a resumed training may have otherwise without another arithmetic; of
# these, train_for stretches the schedule, as someone who sets it expects.
_HARMLESS = (
  '*_every',
  'allow_changed',
  'best_by',
  'checkpoint_keep',
  'data.dir',
  'data.eval_*',
  'data.max_bad_fraction',
  'deterministic',
  'fine_tune.checkpoint',
  'optimizer.shard_state',
  'stop_at_top1',
  'train_for',
  'watchdog_minutes',
)


def check_changes(stored: dict, config) -> tuple[list[str], list[str]]:
  """What a resumed training has otherwise than the one that was saved.

  Args:
    stored: the config of its checkpoint, as parsed from JSON.
    config: the whole config.

  Returns:
    A line for each change, and those of them that are neither harmless nor
    allowed by config.allow_changed.
  """
  allowed = [glob.strip() for glob in config.allow_changed.split(',')]
  globs = (*_HARMLESS, *filter(None, allowed))
  found = differences(stored, config)
  lines = [f'{key}: {before!r} → {now!r}' for key, before, now in found]
  refused = [
    line
    for line, (key, *values) in zip(lines, found, strict=True)
    if not any(fnmatch.fnmatchcase(key, glob) for glob in globs)
    # A key that is new, or has gone, is this version's and not the user's.
    and _ABSENT not in values
    and not (key == 'precision' and _is_renamed(stored, *values))
  ]
  return lines, refused


def _is_renamed(stored: dict, before, now) -> bool:
  # Until there was `deterministic`, float32 was what tensorfloat32 is.
  was, called = 'float32', 'tensorfloat32'
  return 'deterministic' not in stored and (before, now) == (was, called)


_ABSENT = 'absent'


def differences(stored: dict, config) -> list[tuple[str, Any, Any]]:
  """(key, stored, now) of each that differs, or that one of them lacks."""
  # Both through JSON, which has no tuples.
  before, now = (
    dict(serialization.flatten(tree))
    for tree in (stored, json.loads(serialization.to_json(config)))
  )
  pairs = [
    (key, before.get(key, _ABSENT), now.get(key, _ABSENT))
    for key in sorted(before.keys() | now.keys())
  ]
  return [pair for pair in pairs if pair[1] != pair[2]]
