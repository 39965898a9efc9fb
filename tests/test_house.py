"""The layers of the house: imports point downward only."""

import ast
import graphlib
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / 'inception_jax'
# From the ground up: a module may import from its own room and from the rooms
# before it.
ROOMS = (
  'errors',
  'inputs',
  'extras',
  'config',
  'trees',
  'metrics',
  'buckets',
  'runtime',
  'data',
  'models',
  'distributed',
  'checkpointing',
  'weights',
  'evaluation',
  'fid',
  'training',
  'export',
  'aot',
  'report',
  'tools',
  '__main__',
)
MOST_ROOT_MODULES = 10
MOST_LINES = 250
MOST_LINES_OF_A_FUNCTION = 60
# Functions that are tables: a line a row.
TABLES = ('get_config',)
MODULES = sorted(PACKAGE.rglob('*.py'))
# Those of the data that each process could read as well without JAX.
_WITHOUT_JAX = (
  'decode.py',
  'order.py',
  'pipeline.py',
  'registry.py',
  'tfds.py',
)


def room(path):
  return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imported(path):
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      yield from (f'{node.module}.{alias.name}' for alias in node.names)


def names_of(path):
  return '.'.join(path.relative_to(ROOT).with_suffix('').parts)


def statements(function):
  """Lines of a function, its docstring aside."""
  doc = ast.get_docstring(function, clean=False)
  lines = function.end_lineno - function.lineno + 1
  return lines - (len(doc.splitlines()) if doc else 0)


def test_the_root_has_few_modules():
  assert len(list(PACKAGE.glob('*.py'))) <= MOST_ROOT_MODULES


@pytest.mark.parametrize('path', MODULES, ids=names_of)
def test_imports_point_downward(path):
  if path == PACKAGE / '__init__.py':
    return
  own = room(path)
  for name in imported(path):
    if not name.startswith('inception_jax.'):
      continue
    other = name.split('.')[1]
    if other != own:
      assert ROOMS.index(other) < ROOMS.index(own), f'{own} imports {other}'


def test_no_circle_of_imports():
  known = {names_of(path) for path in MODULES}
  graph = {
    names_of(path): {
      target
      for name in imported(path)
      for target in (name, name.rpartition('.')[0])
      if target in known
    }
    for path in MODULES
  }
  # Raises CycleError, with the circle.
  list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize('path', MODULES, ids=names_of)
def test_files_and_functions_are_short(path):
  text = path.read_text()
  assert len(text.splitlines()) <= MOST_LINES
  for node in ast.walk(ast.parse(text)):
    if isinstance(node, ast.FunctionDef):
      lines = statements(node)
      assert lines <= MOST_LINES_OF_A_FUNCTION or node.name in TABLES, (
        f'{node.name} has {lines} lines'
      )


@pytest.mark.parametrize('path', MODULES, ids=names_of)
def test_libraries_stay_in_their_rooms(path):
  names = {name.split('.')[0] for name in imported(path)}
  if room(path) not in ('export', 'data', 'tools', 'weights'):
    assert not names & {'tensorflow', 'tensorflow_datasets'}
  if path != PACKAGE / 'checkpointing' / 'checkpoint.py':
    assert 'orbax' not in names
  if path.name in _WITHOUT_JAX:
    assert not names & {'jax', 'flax'}


@pytest.mark.parametrize(
  'path', [p for p in MODULES if p.name == '__init__.py'], ids=names_of
)
def test_a_folder_says_what_it_is_for(path):
  tree = ast.parse(path.read_text())
  assert ast.get_docstring(tree)
  # Nothing else is in it, but the names that users import from it.
  public = (PACKAGE / '__init__.py', PACKAGE / 'fid' / '__init__.py')
  assert len(tree.body) == 1 or path in public


@pytest.mark.slow
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
