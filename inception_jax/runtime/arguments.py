"""Parses a command's arguments, and lists all that is wrong with them."""

import difflib
import os
import pathlib
import re
import sys
import textwrap

from absl import flags
from ml_collections import config_flags

from inception_jax.config import counterparts
from inception_jax.config import defaults
from inception_jax.config import recipes
from inception_jax.config import serialization
from inception_jax.errors import UserError
from inception_jax.runtime.process import exit_now

_HELP_FLAG = re.compile(r'--?(help(full|short|xml)?|\?)(=|$)')
_YAML = ('.yaml', '.yml')
_RECIPE_FLAG = re.compile(r'--?config(=(?P<value>.*)|$)')


def parse(argv: list[str]) -> list[str]:
  """Parses flags; prints every faulty one before it exits.

  Args:
    argv: the command's name and arguments. The recipe may be a file or the name
      of a recipe of the package.

  Returns:
    The name and the positional arguments.
  """
  try:
    argv = _with_files(argv)
    rest = flags.FLAGS(argv)
    if 'config' in flags.FLAGS and flags.FLAGS['config'].present:
      # An unreadable file fails only when the config is accessed.
      flags.FLAGS['config'].value.is_locked  # noqa: B018
    return rest
  except SystemExit:
    # absl exits with status 1 after --help.
    if not any(map(_HELP_FLAG.match, argv)):
      raise
    if 'config' in flags.FLAGS and '--helpxml' not in argv:
      print(_help_of_config())
    sys.exit(0)
  except UserError as error:
    exit_now(2, *error.faults)
  except Exception as error:  # a recipe is code and may raise anything
    reason = _reason(error)
  # Outside the handler, so that errors below do not get `error` as context.
  exit_now(2, *([*_unknown(argv), *_faults(argv)] or [reason]))


def _help_of_config() -> str:
  """Returns what --help adds for a command with a recipe."""
  wrapped = textwrap.fill(', '.join(recipes.names()), 78)
  return (
    '\nRecipes, for --config=, which also takes a file:\n'
    f'{textwrap.indent(wrapped, "  ")}\n\n'
    'A key of the recipe: --config.KEY=VALUE, as --config.batch_size=64 or\n'
    "--config.train_for='90 epochs'. All keys, with a comment each:\n"
    f'  {defaults.__file__}'
  )


def _with_files(argv: list[str]) -> list[str]:
  """Returns the arguments with the file of a recipe in place of its name."""

  def file_of(value: str) -> str:
    is_name = re.fullmatch(r'\w+', value) and not os.path.exists(value)
    return recipes.find(value) if is_name else value

  args = list(argv)
  for i, arg in enumerate(argv[1:], 1):
    match = _RECIPE_FLAG.match(arg)
    if match and match['value'] is not None:
      args[i] = f'--config={file_of(match["value"])}'
    elif match and i + 1 < len(argv):
      args[i + 1] = file_of(argv[i + 1])
  return args


def _unknown(argv: list[str]) -> list[str]:
  """Returns a fault for each flag that the command does not have."""
  keys = [key for key, _ in serialization.flatten(defaults.get_config())]
  faults = []
  for arg, following in zip(argv[1:], [*argv[2:], '-'], strict=True):
    name, separator, value = arg.lstrip('-').partition('=')
    known = name in flags.FLAGS or name.removeprefix('no') in flags.FLAGS
    # A negative number is the value of the flag before it.
    is_flag = re.match('--?[A-Za-z]', arg)
    if not is_flag or known or name.startswith('config.'):
      continue
    if not separator and not following.startswith('-'):
      value = following
    if answer := counterparts.answer(name, value, flags.FLAGS):
      faults.append(f'{arg}: no such flag; {answer}')
      continue
    similar = [f'config.{k}' for k in keys if name == k.rpartition('.')[2]]
    similar = similar or difflib.get_close_matches(name, flags.FLAGS, n=1)
    hint = ' or '.join(f'--{flag}' for flag in similar)
    faults.append(f'{arg}: no such flag' + bool(hint) * f'; try {hint}')
  return faults


def _faults(argv: list[str]) -> list[str]:
  """Returns the faults of the recipe, or else of each override on its own."""
  args = []
  for arg in argv[1:]:
    if args and args[-1] in ('--config', '-config'):
      args[-1] += f'={arg}'
    elif args and not arg.startswith('-') and '=' not in args[-1]:
      args[-1] += f'={arg}'
    else:
      args.append(arg)
  recipe = [arg for arg in args if re.match(r'--?config=', arg)]
  overrides = [arg for arg in args if re.match(r'--?(no)?config\.', arg)]
  if recipe and (path := recipe[-1].partition('=')[2]).endswith(_YAML):
    return [
      f'{recipe[-1]}: recipes are Python files; python -m '
      f'inception_jax.tools.migrate {path} makes one of a MindSpore or MindCV '
      'config'
    ]
  try:
    _read_config(argv[0], *recipe)
  except Exception as error:
    fault = f'{recipe[-1]}: {_reason(error)}'
    # Behind a colon is an argument of the recipe's.
    path = re.split('[=:]', recipe[-1])[1]
    if not os.path.exists(path):
      known = recipes.known(pathlib.PurePath(path).stem)
      fault = f'{recipe[-1]}: no such file; {known}'
    return [fault]

  faults = []
  for arg in overrides:
    try:
      _read_config(argv[0], *recipe, arg)
    except (AttributeError, KeyError) as error:
      hint = str(error.args[0]).partition('Did you mean ')[2]
      hint = f'; did you mean {hint.rstrip(chr(39))}' if hint else ''
      name, _, value = arg.partition('=')
      if answer := counterparts.answer(
        name.rpartition('.')[2], value, flags.FLAGS
      ):
        hint = f'; {answer}'
      faults.append(f'{arg.lstrip("-")}: no such key{hint}')
    except Exception as error:
      faults.append(_reason(error))
  return list(dict.fromkeys(faults))


def _read_config(*argv: str) -> None:
  """Parses only these arguments; raises the error that they cause."""
  values = flags.FlagValues()
  holder = config_flags.DEFINE_config_file(
    'config', flag_values=values, sys_argv=list(argv)
  )
  values(argv)
  if holder.value is not None:
    holder.value.is_locked  # noqa: B018


def _reason(error: BaseException) -> str:
  """Returns the cause of an error in one line."""
  if isinstance(error, flags.Error) and '\n' not in str(error):
    return str(error)
  # ml_collections puts the traceback of a failing recipe into its message.
  while error.__context__ is not None:
    error = error.__context__
  return f'{type(error).__name__}: {" ".join(str(error).split())}'
