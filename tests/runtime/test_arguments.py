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


@pytest.mark.slow
def test_recipe_is_found_by_its_name(tmp_path):
  named, file = (
    errors_of(f'--config={recipe}', '--mode=eval', f'--workdir={tmp_path}')
    for recipe in ('digits', 'configs/digits.py')
  )
  assert named == file == [f'error: no checkpoint in {tmp_path}/checkpoints']


@pytest.mark.parametrize('recipe', ['digit', 'configs/digit.py', 'x.txt'])
def test_missing_recipe_lists_those_there_are(recipe):
  (line,) = errors_of(f'--config={recipe}')
  assert recipe in line and 'cifar10_inception_v3, ' in line
  assert ('did you mean digits?' in line) == ('digit' in recipe)


def test_every_unknown_flag_is_reported_with_what_it_may_mean():
  lines = errors_of(
    *('--config=digits', '--zero_rates=3', '--wrkdir=x', '--zzz'),
    *('--warmup=5', '--config.bogus=1'),
  )
  assert lines == [
    'error: --zero_rates=3: no such flag',
    'error: --wrkdir=x: no such flag; try --workdir',
    'error: --zzz: no such flag',
    'error: --warmup=5: no such flag; try --config.schedule.warmup',
    'error: config.bogus=1: no such key',
  ]


def test_flags_and_keys_of_other_systems_get_their_counterparts():
  lines = errors_of(
    *('--config=digits', '--lr=0.1', '--epochs', '90', '-b', '64', '-warm'),
    *('--batch-size=8', '--data_dir=$(x)', '--min_lr', '-1', '-c', 'x.yaml'),
    *('--config.lr_max=0.4', '--config.schedule.warmup_epochs=5'),
    *('--distributed', '--config.num_cycles=2'),
  )
  whole = '(over all devices)'
  assert lines == [
    'error: --lr=0.1: no such flag; here it is '
    '--config.schedule.learning_rate=0.1',
    "error: --epochs: no such flag; here it is --config.train_for='90 epochs'",
    f'error: -b: no such flag; here it is --config.batch_size=64 {whole}',
    'error: -warm: no such flag; here it is '
    "--config.schedule.warmup='N epochs'",
    'error: --batch-size=8: no such flag; here it is --config.batch_size=8 '
    f'{whole}',
    # What a shell would execute is not repeated.
    'error: --data_dir=$(x): no such flag; here it is --config.data.dir=',
    'error: --min_lr: no such flag; here it is '
    '--config.schedule.end_learning_rate=',
    'error: -c: no such flag; here it is --config=RECIPE (tools.migrate makes '
    'one of a YAML file)',
    'error: --distributed: no such flag; leave it out: all visible devices '
    'compute',
    'error: config.lr_max=0.4: no such key; here it is '
    '--config.schedule.learning_rate=0.4',
    'error: config.schedule.warmup_epochs=5: no such key; here it is '
    "--config.schedule.warmup='5 epochs'",
    'error: config.num_cycles=2: no such key; leave it out: a cosine has one '
    'cycle',
  ]


def test_a_yaml_file_is_for_migrate():
  lines = errors_of('--config=x.yaml', '--lr=0.1', '--config.bogus=1')
  assert lines == [
    'error: --lr=0.1: no such flag; here it is '
    '--config.schedule.learning_rate=0.1',
    'error: --config=x.yaml: recipes are Python files; python -m '
    'inception_jax.tools.migrate x.yaml makes one of a MindSpore or MindCV '
    'config',
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
