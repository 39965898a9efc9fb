"""Arguments of commands: recipes by name, and every fault at once."""

import pytest

from inception_jax.config import recipes
from inception_jax.config import serialization
from inception_jax.errors import UserError
from tests.support import commands


def errors_of(*args) -> list[str]:
  done = commands.run(*args)
  assert done.returncode == 2
  return done.stderr.splitlines()


def test_recipe_is_found_by_its_name(tmp_path):
  named, file = (
    errors_of(f'--config={recipe}', '--mode=eval', f'--workdir={tmp_path}')
    for recipe in ('digits', 'configs/digits.py')
  )
  assert named == file == [f'error: no checkpoint in {tmp_path}/checkpoints']


@pytest.mark.parametrize('recipe', ['digit', 'configs/digit.py', 'x.yaml'])
def test_missing_recipe_lists_those_there_are(recipe):
  (line,) = errors_of(f'--config={recipe}')
  assert recipe in line and 'cifar10_inception_v3, ' in line


def test_every_unknown_flag_is_reported_with_what_it_may_mean():
  lines = errors_of(
    *('--config=digits', '--batch_size=3', '--wrkdir=x', '--zzz'),
    '--config.bogus=1',
  )
  assert lines == [
    'error: --batch_size: no such flag; try --config.batch_size or '
    '--config.schedule.batch_size',
    'error: --wrkdir: no such flag; try --workdir',
    'error: --zzz: no such flag',
    'error: config.bogus=1: no such key',
  ]


def test_recipe_can_be_based_on_another_one():
  values = [
    dict(serialization.flatten(recipes.get_config(name)))
    for name in ('inception_v3', 'google_inception_v3')
  ]
  changed = {key for key in values[0] if values[0][key] != values[1][key]}
  assert 'schedule.name' in changed and 'batch_size' not in changed
  with pytest.raises(UserError, match="there is no recipe 'none'"):
    recipes.get_config('none')
