"""Durations, plans, recipes, and the rule that every key is read."""

import ast
import fractions
import importlib
import json
import pathlib

import pytest

from configs import default
from inception_jax import errors
from inception_jax.config import differences
from inception_jax.config import durations
from inception_jax.config import serialization
from inception_jax.config import validation
from inception_jax.data import config_check
from inception_jax.models import factory
from inception_jax.training import loss_scale
from inception_jax.training import optimizer
from inception_jax.training import schedules
from tests.support import recipes

ROOT = pathlib.Path(__file__).parents[2]


def keys(config):
  return {key for key, _ in serialization.flatten(config)}


@pytest.mark.parametrize(
  ('duration', 'expected'),
  [
    ('2000 steps', 2000),
    ('1 step', 1),
    ('2 epochs', fractions.Fraction(1437, 16)),
    ('0.5 epochs', fractions.Fraction(1437, 64)),
    ('5 percent', 50),
    ('0.1 percent', 1),
    ('0 steps', 0),
  ],
)
def test_durations(duration, expected):
  per_epoch = fractions.Fraction(1437, 32)
  assert durations.to_steps(duration, per_epoch, 1000) == expected


def test_long_durations_are_exact():
  # 250 epochs of ImageNet in float32 would already be steps off.
  per_epoch = fractions.Fraction(1_281_167, 3)
  assert durations.to_steps('3000 epochs', per_epoch) == 1_281_167_000


def test_plan_and_what_is_due():
  config = default.get_config()
  config.batch_size = 10
  config.train_for = '3 epochs'
  config.eval_every = '7 steps'
  config.log_every = '10 percent'
  config.schedule.warmup = '50 percent'
  plan = durations.plan(config, 100)
  assert (plan.total, plan.warmup, plan.log_every) == (30, 15, 3)
  due = [s for s in range(1, 31) if plan.due(plan.eval_every, s)]
  assert due == [7, 14, 21, 28, 30]


def test_epochs_do_not_drift():
  config = default.get_config()
  config.batch_size = 40
  config.train_for = '4 epochs'
  config.eval_every = '1 epoch'  # 2.5 steps
  config.log_every = '0.1 epochs'
  config.schedule.warmup = '0 steps'
  plan = durations.plan(config, 100)
  due = lambda every: [s for s in range(1, 11) if plan.due(every, s)]
  assert due(plan.eval_every) == [3, 5, 8, 10]
  assert due(plan.log_every) == list(range(1, 11))


def test_trainings_too_long_to_count():
  config = default.get_config()
  config.train_for = '9999999999 steps'
  with pytest.raises(errors.UserError, match='too many'):
    durations.plan(config, 100)


def test_changes_name_each_key():
  config = factory.resolve(default.get_config())
  stored = json.loads(serialization.to_json(config))
  assert differences.check_changes(stored, config) == ([], [])
  config.data.mean = (1.0, 2.0, 3.0)
  config.data.eval_split = 'all'
  config.batch_size = 512
  del stored['seed']
  mean = 'data.mean: [127.5, 127.5, 127.5] → [1.0, 2.0, 3.0]'
  size = 'batch_size: 256 → 512'
  lines, refused = differences.check_changes(stored, config)
  assert lines == [
    size,
    "data.eval_split: 'test' → 'all'",
    mean,
    "seed: 'absent' → 0",
  ]
  assert refused == [size, mean]
  config.allow_changed = 'seed, data.*'
  assert differences.check_changes(stored, config)[1] == [size]
  config.allow_changed = 'batch_size,data.mean'
  assert differences.check_changes(stored, config)[1] == []


def test_a_run_from_before_tensorfloat32_had_its_name_goes_on():
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


@pytest.mark.parametrize('name', recipes.NAMES)
def test_recipes_are_sound(name, monkeypatch, tmp_path):
  config = importlib.import_module(f'configs.{name}').get_config()
  # Prepared data is the user's to have; everything else must be right.
  monkeypatch.setattr(
    'inception_jax.data.sources.tfds.builder_dirs', lambda config: ['/data']
  )
  assert keys(config) == keys(default.get_config())
  if config.data.source == 'folder':  # the user's, and so are the weights
    (tmp_path / 'train').mkdir()
    (tmp_path / 'val').mkdir()
    config.data.dir = str(tmp_path)
  config = factory.resolve(config)
  assert validation.check(config) == []
  assert durations.check(config) == []
  assert loss_scale.check(config) == []
  assert factory.check(config) == []
  assert config_check.check(config) == []
  assert optimizer.check(config) == []
  assert schedules.check(config) == []


def test_recipes_resolve_to_what_they_did():
  """After a change that is meant: `make golden`, and read the diff."""
  assert recipes.resolved() == json.loads(recipes.GOLDEN.read_text())


def test_every_key_is_read():
  """A key that nothing reads is a lie to whoever sets it."""
  read = set()
  for path in (ROOT / 'inception_jax').rglob('*.py'):
    tree = ast.parse(path.read_text())
    # To check a key is not to use it.
    tree.body = [n for n in tree.body if getattr(n, 'name', '') != 'check']
    for node in ast.walk(tree):
      if isinstance(node, ast.Attribute):
        # The last two names: `config.model.width` gives 'model.width', and
        # `model.width` where model = config.model, or data = config.data.
        owner = node.value
        if isinstance(owner, ast.Attribute):
          read.add(f'{owner.attr}.{node.attr}')
        elif isinstance(owner, ast.Name):
          read.add(f'{owner.id}.{node.attr}')
  # The locals that stand for a group, by the house's convention.
  short = {'o': 'optimizer', 's': 'schedule'}
  read |= {
    f'{short[owner]}.{key}'
    for owner, key in (name.split('.') for name in read)
    if owner in short
  }
  for key in keys(default.get_config()):
    name = key if '.' in key else f'config.{key}'
    assert name in read, f'nothing reads config.{key}'


def test_faults_come_all_at_once():
  config = default.get_config()
  config.batch_size = 0
  config.label_smoothing = 1.0
  config.train_for = '90'
  config.eval_every = '0 steps'
  config.schedule.warmup = 'five epochs'
  config.ema_decay = -0.1
  config.loss_scale = 1024.0
  faults = validation.check(config) + durations.check(config)
  faults += loss_scale.check(config)
  for key in (
    'batch_size=0',
    'label_smoothing=1.0',
    "train_for='90'",
    "eval_every='0 steps'",
    "schedule.warmup='five epochs'",
    'ema_decay=-0.1',
    'loss_scale=1024.0: only --config.precision=float16 has one',
  ):
    assert sum(fault.startswith(key) for fault in faults) == 1, key
  assert len(faults) == 7
