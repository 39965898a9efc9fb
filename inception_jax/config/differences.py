"""Differences between two configs, and which of them a resume accepts."""

import fnmatch
import json
from typing import Any

from inception_jax.config import serialization

# Keys that a resume may change, because a training step computes the same.
# train_for stretches the schedule, which is what someone who sets it expects.
_HARMLESS = (
  '*_every',
  'allow_changed',
  'best_by',
  'checkpoint_keep',
  'data.allow_missing_classes',
  'data.dir',
  'data.eval_*',
  'data.max_bad_fraction',
  'data.workers',
  'deterministic',
  'eval_raw',
  'fine_tune.cache_features',
  'fine_tune.checkpoint',
  'model.kernel_init',
  'optimizer.shard_state',
  'profile',
  'profile_from',
  'recipe',
  'stop_at_top1',
  'train_for',
  'watchdog_minutes',
)
_ABSENT = 'absent'
# What earlier versions did that had no such key.
_BEFORE_ADDED = {'data.exif': 'ignore', 'data.background': 'none'}


def check_changes(stored: dict, config) -> tuple[list[str], list[str]]:
  """Compares a resumed config with its checkpoint's, parsed from JSON.

  Returns:
    A line for each changed key, and those lines whose key is neither harmless
    nor allowed by config.allow_changed.
  """
  allowed = config.allow_changed.split(',')
  globs = (*_HARMLESS, *(glob.strip() for glob in allowed))
  found = differences(stored, config)
  lines = [f'{key}: {before!r} → {now!r}' for key, before, now in found]
  # Before the key `deterministic` was added, float32 meant tensorfloat32.
  renamed = ('precision', 'float32', 'tensorfloat32')
  refused = [
    line
    for line, (key, *values) in zip(lines, found, strict=True)
    if not any(fnmatch.fnmatchcase(key, glob) for glob in globs)
    # The program's version added or removed this key, not the user.
    and _ABSENT not in values
    and ('deterministic' in stored or (key, *values) != renamed)
  ]
  return lines, refused


def differences(stored: dict, config) -> list[tuple[str, Any, Any]]:
  """Returns (key, stored, now) for each key that differs or is missing."""
  # Both go through JSON, which turns tuples into lists.
  before, now = (
    dict(serialization.flatten(tree))
    for tree in (stored, json.loads(serialization.to_json(config)))
  )
  before = {**_BEFORE_ADDED, **before}
  pairs = [
    (key, before.get(key, _ABSENT), now.get(key, _ABSENT))
    for key in sorted(before.keys() | now.keys())
  ]
  return [pair for pair in pairs if pair[1] != pair[2]]
