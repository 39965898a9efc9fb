"""The layers of the house: imports point downward only."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / 'inception_jax'
# From the ground up; a module may import from the floors below its own, and
# from its own folder.
FLOORS = [
  {'config'},
  {
    'digests',
    'hardware',
    'precision',
    'plan',
    'scratch',
    'lock',
    'preemption',
    'watchdog',
  },
  {
    'models',
    'data',
    'optim',
    'schedules',
    'sharding',
    'metrics',
    'processes',
  },
  {
    'state',
    'preflight',
    'weights',
    'answers',
    'guard',
    'resume',
    'scoring',
    'writer',
  },
  {'steps', 'checkpoint', 'evaluator', 'fine_tune'},
  {'history', 'predictions'},
  {'checkpoints'},
  {'runs', 'trainer'},
  {'artifacts', 'pretrained'},
  {'evaluate'},
  {'follow', 'train'},
  {'report'},
  {'cli'},
  {'tools'},
]
MODULES = sorted(PACKAGE.rglob('*.py'))
# Those of the data that each process could read as well without JAX.
_WITHOUT_JAX = (
  'decode.py',
  'order.py',
  'pipeline.py',
  'sources.py',
  'tfds_source.py',
)


def room(path):
  return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def floor(name):
  (found,) = [i for i, rooms in enumerate(FLOORS) if name in rooms]
  return found


def imported(path):
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      yield from (f'{node.module}.{alias.name}' for alias in node.names)


@pytest.mark.parametrize('path', MODULES, ids=lambda p: p.stem)
def test_imports_point_downward(path):
  if path == PACKAGE / '__init__.py':
    return
  own = room(path)
  for name in imported(path):
    if not name.startswith('inception_jax.'):
      continue
    other = name.split('.')[1]
    if other == own:
      continue
    assert floor(other) < floor(own), f'{own} imports {other}'


@pytest.mark.parametrize('path', MODULES, ids=lambda p: p.stem)
def test_libraries_stay_in_their_rooms(path):
  names = {name.split('.')[0] for name in imported(path)}
  if room(path) not in ('artifacts', 'data', 'tools', 'weights'):
    assert not names & {'tensorflow', 'tensorflow_datasets'}
  if path.name != 'checkpoint.py':
    assert 'orbax' not in names
  if path.name in _WITHOUT_JAX:
    assert not names & {'jax', 'flax'}


def test_importing_touches_no_device_and_takes_no_seconds():
  modules = [
    '.'.join(path.relative_to(ROOT).with_suffix('').parts)
    for path in MODULES
    if path.name != '__init__.py'
  ]
  program = f"""
import importlib
import sys
from absl import flags
for name in {modules}:
  if '.tools.' in name:  # commands that have flags of the same names
    flags.FLAGS.remove_flag_values(list(flags.FLAGS))
  importlib.import_module(name)
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
# Mistakes are told before it comes.
assert 'tensorflow' not in sys.modules
"""
  subprocess.run([sys.executable, '-c', program], cwd=ROOT, check=True)
