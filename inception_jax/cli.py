"""What every command shares: flags, faults, logs to stderr, JSON to stdout."""

from collections.abc import Callable
import json
import logging
import os
import sys

from absl import app
from absl import flags
from absl import logging as absl_logging
from ml_collections import config_flags

from inception_jax.config import UserError

log = logging.getLogger(__name__)


def run(command: Callable[[], dict]) -> None:
  """Runs a command: its result is the last line on stdout, as JSON.

  A `UserError` becomes one line on stderr for each fault, and exit status 2.

  Args:
    command: takes nothing, since flags are parsed by then; returns what is
      to be printed.
  """
  _set_up_logging()

  def main(argv):
    try:
      if unexpected := argv[1:]:
        raise UserError(f'not a flag: {" ".join(unexpected)}')
      result = command()
    except UserError as error:
      _exit(error)
    print(json.dumps(result), flush=True)

  app.run(main, flags_parser=_parse)


def _exit(error: UserError):
  for fault in error.faults:
    print(f'error: {fault}', file=sys.stderr)
  sys.exit(2)


def _parse(argv: list[str]) -> list[str]:
  """Parses flags; where that fails, says so of every wrong one at once."""
  try:
    rest = flags.FLAGS(argv)
    if 'config' in flags.FLAGS and flags.FLAGS['config'].present:
      # A file that cannot be read shows only when it is looked into.
      flags.FLAGS['config'].value.is_locked  # noqa: B018
    return rest
  except (flags.Error, AttributeError, KeyError, OSError, TypeError) as error:
    _exit(UserError(*(_faults(argv) or [_one_line(error)])))


def _faults(argv: list[str]) -> list[str]:
  """Tries each override of the config on its own."""
  config = [arg for arg in argv if arg.startswith(('--config=', '-config='))]
  faults = []
  for arg in argv[1:]:
    if not arg.startswith(('--config.', '-config.', '--noconfig.')):
      continue
    alone = [argv[0], *config, arg]
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file(
      'config', flag_values=values, sys_argv=alone
    )
    try:
      values(alone)
      bool(holder.value)
    except (AttributeError, KeyError) as error:
      hint = _one_line(error).partition('Did you mean ')[2]
      hint = f'; did you mean {hint.rstrip(chr(39))}' if hint else ''
      faults.append(f'{arg.lstrip("-")}: no such key{hint}')
    except (flags.Error, OSError, TypeError) as error:
      faults.append(_one_line(error))
  return list(dict.fromkeys(faults))


def _one_line(error: Exception) -> str:
  text = str(error.args[0]) if error.args else repr(error)
  return ' '.join(text.replace("'\\n", ' ').split())


def _set_up_logging():
  """This package's INFO and everybody's warnings, to stderr, with the time."""
  handler = logging.StreamHandler()
  handler.setFormatter(
    logging.Formatter('%(asctime)s %(message)s', datefmt='%H:%M:%S')
  )
  package = logging.getLogger('inception_jax')
  package.setLevel(logging.INFO)
  package.addHandler(handler)
  package.propagate = False
  absl_logging.set_verbosity(absl_logging.WARNING)
  # TensorFlow only reads and decodes here; its banners help nobody.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')


def use_compilation_cache(folder: str) -> None:
  """Keeps compiled programs in `folder` between runs; '' keeps none.

  $JAX_COMPILATION_CACHE_DIR, where it is set, goes first.
  """
  import jax

  if folder and not jax.config.jax_compilation_cache_dir:
    folder = os.path.expanduser(folder)
    jax.config.update('jax_compilation_cache_dir', folder)
