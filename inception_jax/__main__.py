"""The commands of an installed package: `inception-jax COMMAND …`.

The same as `python -m inception_jax COMMAND …`. `inception-jax train` is
main.py; the others are the modules of inception_jax.tools.
"""

import ast
import importlib.util
import runpy
import sys

import inception_jax

# Command → module of `tools`, and the arguments that come first.
COMMANDS = {
  'train': ('train', ()),
  'eval': ('train', ('--mode=eval',)),
  'prepare': ('prepare', ()),
  'find-rate': ('find_rate', ()),
  'compile': ('compile', ()),
  'report': ('report', ()),
  'compare': ('compare', ()),
  'verify': ('verify', ()),
  'migrate': ('migrate', ()),
  'import-weights': ('import_weights', ()),
  'export': ('export', ()),
  'predict': ('predict', ()),
  'features': ('features', ()),
  'fid': ('fid', ()),
  'evaluate-artifact': ('evaluate_artifact', ()),
}


def main() -> None:
  """Runs the command that the first argument names."""
  name = sys.argv[1] if len(sys.argv) > 1 else '--help'
  if name in ('--help', '-h', 'help'):
    print(_help())
    return
  if name == '--version':
    print(inception_jax.__version__)
    return
  if name not in COMMANDS:
    print(f'error: {name!r}: expected {", ".join(COMMANDS)}', file=sys.stderr)
    sys.exit(2)
  module, first = COMMANDS[name]
  sys.argv[:2] = [f'{sys.argv[0]} {name}', *first]
  runpy.run_module(
    f'inception_jax.tools.{module}', run_name='__main__', alter_sys=True
  )


def _help() -> str:
  """Returns the commands, each with the first line of its docstring."""
  lines = [
    'Training, evaluation and export of Inception networks in JAX.',
    '',
    '  inception-jax train --config=digits --workdir=runs/digits',
    '',
  ]
  for name, (module, _) in COMMANDS.items():
    spec = importlib.util.find_spec(f'inception_jax.tools.{module}')
    text = ast.get_docstring(ast.parse(spec.loader.get_source(spec.name)))
    lines.append(f'  {name:18} {text.splitlines()[0]}')
  return '\n'.join([*lines, '', '`inception-jax COMMAND --help` lists flags.'])


if __name__ == '__main__':
  main()
