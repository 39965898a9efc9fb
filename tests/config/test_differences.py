"""Differences between configs, and which of them a resume accepts."""

import json

import pytest

from configs import default
from inception_jax.config import differences
from inception_jax.config import serialization
from inception_jax.models import factory


def test_changed_keys_are_listed_and_refused_unless_allowed():
  config = factory.resolve(default.get_config())
  stored = json.loads(serialization.to_json(config))
  assert differences.check_changes(stored, config) == ([], [])
  config.data.mean = (1.0, 2.0, 3.0)
  config.data.eval_split = 'all'
  config.batch_size = 512
  config.recipe = 'renamed'
  del stored['seed']
  mean = 'data.mean: [127.5, 127.5, 127.5] → [1.0, 2.0, 3.0]'
  size = 'batch_size: 256 → 512'
  lines, refused = differences.check_changes(stored, config)
  assert lines == [
    size,
    "data.eval_split: 'test' → 'all'",
    mean,
    "recipe: '' → 'renamed'",
    "seed: 'absent' → 0",
  ]
  assert refused == [size, mean]
  config.allow_changed = 'seed, data.*'
  assert differences.check_changes(stored, config)[1] == [size]
  config.allow_changed = 'batch_size,data.mean'
  assert differences.check_changes(stored, config)[1] == []


def test_run_from_before_the_rename_to_tensorfloat32_resumes():
  config = default.get_config()
  stored = json.loads(serialization.to_json(config))
  assert stored['precision'] == 'float32'
  config.precision = 'tensorfloat32'
  line = "precision: 'float32' → 'tensorfloat32'"
  assert differences.check_changes(stored, config) == ([line], [line])
  del stored['deterministic']
  assert differences.check_changes(stored, config)[1] == []
  config.precision = 'bfloat16'
  assert len(differences.check_changes(stored, config)[1]) == 1


@pytest.mark.parametrize(
  ('key', 'value'),
  [
    ('eval_raw', False),
    ('profile', '100 steps'),
    ('profile_from', '1 epoch'),
    ('log_every', '7 steps'),
  ],
)
def test_keys_that_leave_the_arithmetic_alone_may_change(key, value):
  config = default.get_config()
  stored = json.loads(serialization.to_json(config))
  config[key] = value
  lines, refused = differences.check_changes(stored, config)
  assert len(lines) == 1 and refused == []


def test_runs_from_before_exif_and_background_ignored_them():
  config = default.get_config()
  config.data.update(exif='ignore', background='none')
  stored = json.loads(serialization.to_json(config))
  del stored['data']['exif'], stored['data']['background']
  assert differences.check_changes(stored, config) == ([], [])
  config.data.exif = 'apply'
  config.data.background = 'white'
  lines = ["data.background: 'none' → 'white'", "data.exif: 'ignore' → 'apply'"]
  assert differences.check_changes(stored, config) == (lines, lines)
