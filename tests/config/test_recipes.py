"""The recipes in configs/: valid, and resolving to the stored values."""

import importlib
import json

import pytest

from configs import default
from inception_jax.config import durations
from inception_jax.config import serialization
from inception_jax.config import validation
from inception_jax.data import config_check
from inception_jax.models import factory
from inception_jax.training import loss_scale
from inception_jax.training import optimizer
from inception_jax.training import schedules
from tests.support import recipes


def keys(config):
  return {key for key, _ in serialization.flatten(config)}


@pytest.mark.parametrize('name', recipes.NAMES)
def test_recipe_is_valid(name, monkeypatch, tmp_path):
  config = importlib.import_module(f'configs.{name}').get_config()
  # Only the prepared data is missing; everything else must be valid.
  monkeypatch.setattr(
    'inception_jax.data.sources.tfds.builder_dirs', lambda config: ['/data']
  )
  assert keys(config) == keys(default.get_config())
  if config.data.source == 'folder':  # a dataset of the user's
    (tmp_path / config.data.train_split).mkdir()
    (tmp_path / config.data.eval_split).mkdir()
    config.data.dir = str(tmp_path)
  config = factory.resolve(config)
  assert validation.check(config) == []
  assert durations.check(config) == []
  assert loss_scale.check(config) == []
  # Weights to fine-tune decide on the network.
  open_name = name == 'fine_tune_folder'
  assert factory.check(config, open_name) == []
  assert config_check.check(config) == []
  assert optimizer.check(config) == []
  assert schedules.check(config) == []


def test_recipes_resolve_to_the_golden_values():
  """After an intended change run `make golden` and read its diff."""
  assert recipes.resolved() == json.loads(recipes.GOLDEN.read_text())
