"""--help of every command: exit status 0, and all of its flags on stdout."""

import pytest

from tests.support import page_commands
from tests.support.commands import ROOT
from tests.support.commands import run

TOOLS = sorted(
  path.stem
  for path in (ROOT / 'inception_jax' / 'tools').glob('*.py')
  if path.stem != '__init__'
)
PROGRAMS = [
  ('main.py',),
  *(('-m', f'inception_jax.tools.{name}') for name in TOOLS),
  ('-m', 'benchmarks.gpu'),
  ('-m', 'benchmarks.run'),
]


@pytest.mark.parametrize('program', PROGRAMS, ids=lambda p: p[-1])
def test_help_exits_0(program):
  done = run('--help', program=program)
  assert done.returncode == 0, done.stderr
  assert not done.stderr
  path = ROOT / (program[-1].replace('.', '/').removesuffix('/py') + '.py')
  if path.name in ('main.py', 'train.py'):
    path = ROOT / 'inception_jax/tools/train.py'
  defined = page_commands.defined_flags(path)
  assert defined
  for name, kind in defined.items():
    name = f'[no]{name}' if kind is bool else name
    assert f'\n  --{name}:' in done.stdout
  # It starts with an example, and lists the recipes if it takes one.
  example = f'python {" ".join(program)} '.replace(
    '-m inception_jax.tools.train', 'main.py'
  )
  assert example in done.stdout.partition('flags:')[0]
  assert ('mindcv_inception_v4' in done.stdout) == ('config' in defined)


@pytest.mark.parametrize('flag', ['--helpfull', '--helpshort', '-?'])
def test_other_help_flags_exit_0(flag):
  done = run(flag)
  assert done.returncode == 0, done.stderr
  assert '--workdir' in done.stdout


def test_help_after_other_flags_exits_0():
  assert run('--config=configs/digits.py', '--help').returncode == 0


def test_recipe_that_exits_keeps_its_status(tmp_path):
  recipe = tmp_path / 'recipe.py'
  recipe.write_text('import sys\nsys.exit(3)\n')
  done = run(f'--config={recipe}', '--workdir=x')
  assert done.returncode == 3
