"""The resolved recipes; `make golden` writes them to a golden file.

tests/golden/recipes.json has every key of configs/default.py, and of each other
recipe the keys that differ from it, so that a diff shows each change.
"""

import importlib
import json
import pathlib

from inception_jax.config import serialization
from inception_jax.models import factory

ROOT = pathlib.Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / 'configs').glob('*.py'))
GOLDEN = ROOT / 'tests' / 'golden' / 'recipes.json'


def resolved() -> dict[str, dict]:
  """Returns {recipe: {key: JSON value}}."""
  values = {name: _leaves(name) for name in NAMES}
  default = values.pop('default')
  return {'default': default} | {
    name: {key: v for key, v in recipe.items() if v != default[key]}
    for name, recipe in values.items()
  }


def _leaves(name: str) -> dict:
  recipe = importlib.import_module(f'configs.{name}').get_config()
  config = factory.resolve(recipe)
  return dict(serialization.flatten(json.loads(serialization.to_json(config))))


if __name__ == '__main__':
  GOLDEN.write_text(json.dumps(resolved(), indent=1, sort_keys=True) + '\n')
