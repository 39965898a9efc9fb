"""What is wrong with a command line in a page, found without running it."""

import ast
import importlib.util
import itertools
import re
import warnings

from absl import flags
from ml_collections import config_flags

from inception_jax import __main__ as inception_jax_main
from inception_jax.export import formats
from tests import test_contributing
from tests.support.commands import ROOT

# Programs of others: their flags are not checked.
_FOREIGN = ('curl', 'docker', 'echo', 'hf')
_TAKE_PATHS = (
  'predict',
  'compare',
  'features',
  'fid',
  'migrate',
  'report',
  'verify',
)


def defined_flags(path) -> dict[str, list | type | None]:
  """Returns the flags that a command's module defines.

  Returns:
    {name: what it takes}: a list of values, a type, or None for any text.
  """
  kinds = {'DEFINE_bool': bool, 'DEFINE_boolean': bool}
  kinds |= {'DEFINE_integer': int, 'DEFINE_float': float}
  found = {}
  for node in ast.walk(ast.parse(path.read_text())):
    if ast.unparse(node) == 'flags.adopt_module_key_flags(device_flags)':
      found |= defined_flags(ROOT / 'inception_jax/runtime/device_flags.py')
    if not isinstance(node, ast.Call):
      continue
    function = ast.unparse(node.func).rpartition('.')[2]
    if not function.startswith(('DEFINE_', 'define_path')):
      continue
    kind = kinds.get(function)
    if function.endswith('enum') and isinstance(node.args[2], ast.List):
      kind = ast.literal_eval(node.args[2])
    found[ast.literal_eval(node.args[0])] = kind
  return found


def parse_config(arguments):
  """Returns the config of the --config arguments; raises if there is none."""
  values = flags.FlagValues()
  named = re.compile(r'--config=(\w+)$')
  files = [named.sub(r'--config=configs/\1.py', word) for word in arguments]
  argv = ['main.py', *files]
  with warnings.catch_warnings():  # ml_collections' own
    warnings.simplefilter('ignore', DeprecationWarning)
    config_flags.DEFINE_config_file(
      'config', 'configs/default.py', flag_values=values, sys_argv=argv
    )
    values(argv)
    values.config.is_locked  # noqa: B018  # a missing recipe raises here
  return values.config


def config_arguments(words):
  """Returns the words that select a recipe and set its keys."""
  return [word for word in words if re.match(r'--config[.=]', word)]


def faults_of_config(arguments):
  """Returns what is wrong with --config and --config.KEY=VALUE."""
  try:
    parse_config(arguments)
  except Exception as error:
    return [f'{arguments}: {type(error).__name__} {error}']
  return []


def _faults_of_flag(argument, defined):
  """Compares --NAME=VALUE with the flags that a module defines."""
  name, has_value, value = argument.removeprefix('--').partition('=')
  if name.startswith('no') and defined.get(name[2:]) is bool:
    name, has_value = name[2:], ''
  if name not in defined:
    return [f'--{name}: no such flag']
  kind = defined[name]
  if kind is bool:
    return [f'--{name} takes no value'] if has_value else []
  if not has_value:
    return [f'--{name} needs a value']
  if isinstance(kind, list):
    return [] if value in kind else [f'{argument}: expected one of {kind}']
  if kind in (int, float):
    return [] if re.fullmatch(r'[\d.]+', value) else [f'{argument}: no number']
  if name == 'format' and value not in formats.FORMATS:
    return [f'{argument}: no such format']
  return []


def _faults_of_python(arguments):
  """Returns what is wrong with the arguments of Python."""
  if arguments[:1] == ['-m']:
    module, arguments = arguments[1], arguments[2:]
    spec = importlib.util.find_spec(module)
    if spec is None:
      return [f'no module {module}']
    if module.split('.')[0] not in ('inception_jax', 'benchmarks'):
      return []
    path = ROOT / (module.replace('.', '/') + '.py')
  else:
    path, arguments = ROOT / arguments[0], arguments[1:]
    if path != ROOT / 'main.py':
      return [f'no program {path}']
  config = config_arguments(arguments)
  faults = faults_of_config(config) if config else []
  if path == ROOT / 'main.py':
    path = ROOT / 'inception_jax/tools/train.py'
  defined = defined_flags(path)
  for argument in arguments:
    if argument in config:
      faults += [] if 'config' in defined else [f'{path.stem}: no --config']
    elif argument.startswith('-'):
      faults += _faults_of_flag(argument, defined)
    elif path.stem not in _TAKE_PATHS:
      faults.append(f'not a flag: {argument}')
  return faults


def _faults_of_launcher(words):
  path = words[0]
  recipes = [word for word in words if word.startswith('configs/')]
  missing = [name for name in (path, *recipes) if not (ROOT / name).is_file()]
  return missing if recipes else [*missing, 'no recipe']


def faults(words):
  """Returns what is wrong with a command."""
  while re.match(r'[A-Z_]+=', words[0]):
    words = words[1:]
  program, arguments = words[0], words[1:]
  if program.endswith('/python') or program == 'python':
    return _faults_of_python(arguments)
  if program == 'inception-jax':
    tool, first = inception_jax_main.COMMANDS.get(arguments[0], ('', ()))
    module = f'inception_jax.tools.{tool or arguments[0]}'
    return _faults_of_python(['-m', module, *first, *arguments[1:]])
  if program == 'make':
    options = [word for word in arguments if '=' not in word]
    known = lambda name: (
      name in test_contributing.TARGETS
      or re.fullmatch(r'\.venv-(tpu|mindspore)/ready', name)
    )
    return [f'no target {name}' for name in options if not known(name)]
  if program == 'sbatch':
    return _faults_of_launcher(arguments)
  if program.startswith('launch/'):
    return _faults_of_launcher(words)
  if program.startswith('serving/cpp/'):
    source = (ROOT / 'serving/cpp/flags.cc').read_text()
    names = [a.partition('=')[0] for a in arguments if a.startswith('--')]
    return [f'no flag {name}' for name in names if f'"{name}"' not in source]
  if program.endswith('pip'):
    files = [b for a, b in itertools.pairwise(words) if a in '-r-c']
    return [name for name in files if not (ROOT / name).is_file()]
  if program.startswith('.venv/bin/ruff'):
    return []
  return [] if program in _FOREIGN else [f'unknown program {program}']
