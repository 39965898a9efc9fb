"""Recipes of other systems against the values in these systems' sources.

tests/golden/recipe_sources.json was entered by hand from the sources' files, at
the commits that it names, not from our configs. For each recipe it has

- values: key → [the source's value, where it is];
- rates: learning rates that the source's own schedule computes, by epoch;
- deviations: key → [the source's value, ours, where, words of the docstring
  that say so];
- said: where the source computes something that no key expresses → words of
  the docstring that say so.

A recipe with `same_as` has the entries of that one and its own. The words may
also be in the docstring of a recipe that the docstring names.
"""

import importlib
import json
import re

import numpy as np
import pytest

from configs import default
from inception_jax.config import durations
from inception_jax.config import serialization
from inception_jax.models import factory
from inception_jax.training import schedules
from tests.support import recipes

TABLE = recipes.ROOT / 'tests' / 'golden' / 'recipe_sources.json'
SOURCES = json.loads(TABLE.read_text())
# This project's own recipes, some of them based on a source's.
OWN = {
  'cifar10_cosine_inception_v3',
  'cifar10_inception_v3',
  'cifar10_inception_v4',
  'cifar10_cpu_inception_v3',
  'default',
  'digits',
  'fine_tune_folder',
  'folder_cifar_inception_v3',
  'inception_resnet_v2',
  'inception_v3',
  'inception_v4',
  'modern_inception_resnet_v2',
  'modern_inception_v3',
  'modern_inception_v4',
}
# Every row has these keys; others only where they differ from the default.
REQUIRED = {
  'aux_loss_weight',
  'batch_size',
  'data.crop_area',
  'data.crop_ratio',
  'data.cutmix',
  'data.erase',
  'data.eval_crop_fraction',
  'data.eval_crop_mode',
  'data.eval_split',
  'data.flip',
  'data.image_size',
  'data.mean',
  'data.mixup',
  'data.pad',
  'data.rotate',
  'data.source',
  'data.std',
  'data.train_split',
  'ema_decay',
  'label_smoothing',
  'loss',
  'model.aux_batch_norm',
  'model.aux_head',
  'model.bn_epsilon',
  'model.bn_momentum',
  'model.dropout_rate',
  'model.head_batch_norm',
  'model.kernel_init',
  'model.name',
  'optimizer.clip_norm',
  'optimizer.clip_value',
  'optimizer.decay',
  'optimizer.decay_on',
  'optimizer.decoupled_decay',
  'optimizer.epsilon',
  'optimizer.momentum',
  'optimizer.name',
  'optimizer.nesterov',
  'precision',
  'train_for',
  'weight_decay',
}
# Meaningless for a recipe with another value of the first key.
IDLE = {
  ('optimizer.name', 'sgd'): {'optimizer.decay', 'optimizer.epsilon'},
  ('model.aux_head', False): {'aux_loss_weight'},
  ('data.train_crop', 'none'): {'data.crop_area', 'data.crop_ratio'},
}
PUBLISHED = {'rmsprop': 1.0}  # ε where the config has 0


def row(name):
  """Returns the row of a recipe, with the entries of those it is like."""
  own = SOURCES[name]
  merged = row(own['same_as']) if 'same_as' in own else {}
  values = merged.get('values', {}) | own['values']
  said = merged.get('said', {}) | own['said']
  return merged | own | {'values': values, 'said': said}


def load(name):
  module = importlib.import_module(f'configs.{name}')
  return module, factory.resolve(module.get_config())


def flat(config):
  text = serialization.to_json(config)
  values = dict(serialization.flatten(json.loads(text)))
  optimizer = values['optimizer.name']
  values['optimizer.epsilon'] = values['optimizer.epsilon'] or PUBLISHED.get(
    optimizer, 0.0
  )
  return values


def idle(values):
  return set().union(
    *(keys for (key, value), keys in IDLE.items() if values[key] == value)
  )


def equal(ours, theirs):
  if isinstance(theirs, bool | str) or (
    isinstance(theirs, list) and isinstance(theirs[0], str)
  ):
    return ours == theirs
  # A source may round, as in a ratio of 1.33 or 1.333 for 4/3.
  return np.shape(ours) == np.shape(theirs) and np.allclose(
    ours, theirs, rtol=3e-3 if np.ndim(theirs) else 1e-6, atol=0
  )


def words(name, seen=()):
  """Returns the docstring of a recipe and those of the recipes it names."""
  text = ' '.join(importlib.import_module(f'configs.{name}').__doc__.split())
  named = set(re.findall(r'(\w+)\.py', text)) & set(recipes.NAMES)
  others = named - {name, *seen}
  return ' '.join([text, *(words(x, (*seen, name)) for x in sorted(others))])


def test_every_recipe_of_a_source_has_a_row():
  assert set(recipes.NAMES) == OWN | SOURCES.keys()
  assert not OWN & SOURCES.keys()


@pytest.mark.parametrize('name', SOURCES)
def test_recipe_has_the_values_of_its_source(name):
  _, config = load(name)
  ours, entries = flat(config), row(name)
  deviations = entries['deviations']
  wrong = [
    f'{key}: {ours[key]!r}, but {value!r} in {where}'
    for key, (value, where) in entries['values'].items()
    if key not in deviations and not equal(ours[key], value)
  ]
  wrong += [
    f'{key}: {ours[key]!r}, but the table has {value!r} for {theirs!r}'
    for key, (theirs, value, _, _) in deviations.items()
    if not equal(ours[key], value) or equal(value, theirs)
  ]
  assert wrong == []


@pytest.mark.parametrize('name', SOURCES)
def test_row_covers_all_that_the_recipe_sets(name):
  _, config = load(name)
  ours, entries = flat(config), row(name)
  defaults = flat(factory.resolve(default.get_config()))
  known = entries['values'].keys() | entries['deviations'].keys()
  assert REQUIRED - idle(ours) - known == set()
  changed = {key for key, value in ours.items() if value != defaults[key]}
  schedule = {key for key in ours if key.startswith('schedule.')}
  assert changed - known - schedule - idle(ours) == set()


@pytest.mark.parametrize('name', SOURCES)
def test_learning_rates_are_those_of_the_source(name):
  _, config = load(name)
  entries = row(name)
  plan = durations.plan(config, entries['examples'])
  rate = schedules.make_schedule(config.schedule, config.batch_size, plan)
  wrong = []
  for epoch, theirs in entries['rates']['at']:
    # Sources count whole steps an epoch, we the exact fraction.
    step = plan.total - 1
    if epoch != 'last':
      step = round(epoch * plan.steps_per_epoch)
    if step < plan.warmup:
      step += entries['rates'].get('warmup_lag', 0)
    ours = float(rate(step))
    if not np.isclose(ours, theirs, rtol=5e-3, atol=1e-9):
      wrong.append(f'epoch {epoch}: {ours:.6g}, but {theirs:.6g}')
  assert wrong == []


@pytest.mark.parametrize('name', SOURCES)
def test_docstring_says_where_the_recipe_deviates(name):
  entries = row(name)
  said = entries['said'] | {
    where: phrase for _, _, where, phrase in entries['deviations'].values()
  }
  text = words(name)
  missing = [f'{p!r} ({where})' for where, p in said.items() if p not in text]
  assert missing == []
