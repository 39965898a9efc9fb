"""What every command shares: flags, faults, logs to stderr, JSON to stdout."""

from collections.abc import Callable
import logging
import os
import re
import sys
import traceback

from absl import app
from absl import flags
from absl import logging as absl_logging
from ml_collections import config_flags
from tqdm.contrib.logging import logging_redirect_tqdm

from inception_jax.config.serialization import json_line
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.runtime import preemption
from inception_jax.runtime.preemption import Preempted

COMPILATION_CACHE = '~/.cache/inception_jax'

# As XLA says it: of any device, and (of a failed malloc) of a CPU.
_OUT_OF_MEMORY = re.compile('RESOURCE_EXHAUSTED|[Oo]ut of memory|YNNPACK')


def run(
  command: Callable[..., dict],
  status: Callable[[dict], int] = lambda result: 0,
  takes_paths: bool = False,
) -> None:
  """Runs a command: its result is the last line on stdout, as JSON.

  A `UserError` becomes one line on stderr for each fault, and exit status 2.

  Args:
    command: takes nothing, since flags are parsed by then, or the paths;
      returns what is to be printed.
    status: takes that; the exit status.
    takes_paths: whether arguments that are no flags are paths.
  """
  _set_up_logging()

  def main(argv):
    try:
      if argv[1:] and not takes_paths:
        raise UserError(f'not a flag: {" ".join(argv[1:])}')
      # Lines of the log above a progress bar, not in it.
      with logging_redirect_tqdm(_loggers()):
        result = command(argv[1:]) if takes_paths else command()
    except UserError as error:
      _print_faults(error)
      # Not sys.exit: there, jax would wait for the other processes.
      os._exit(2)
    except Preempted as error:
      says = 'saved; the same command goes on from here'
      print(f'stopped after {error}: {says}', file=sys.stderr, flush=True)
      os._exit(preemption.STATUS)
    except (RunError, FloatingPointError) as error:  # the second: it diverged
      print(f'error: {error}', file=sys.stderr, flush=True)
      os._exit(1)
    except Exception as error:
      traceback.print_exc()
      if _OUT_OF_MEMORY.search(str(error)):
        print(
          'error: this looks like too little memory; a smaller '
          '--config.batch_size needs less',
          file=sys.stderr,
        )
      sys.stderr.flush()
      # Not sys.exit: after a failed save, orbax's threads would never end.
      os._exit(1)
    _print_result(result)
    return status(result)

  app.run(main, flags_parser=_parse)


def _print_result(result: dict) -> None:
  import jax

  if jax.process_index() == 0:
    print(json_line(result), flush=True)


def _print_faults(error: UserError) -> None:
  for fault in error.faults:
    print(f'error: {fault}', file=sys.stderr, flush=True)


def _parse(argv: list[str]) -> list[str]:
  """Parses flags; where that fails, says so of every wrong one at once."""
  try:
    rest = flags.FLAGS(argv)
    if 'config' in flags.FLAGS and flags.FLAGS['config'].present:
      # A file that cannot be read shows only when it is looked into.
      flags.FLAGS['config'].value.is_locked  # noqa: B018
    return rest
  except Exception as error:  # a recipe is code, and may raise anything
    reason = _reason(error)
  # Out of the handler, or what is caught below would have `error` as context.
  _print_faults(UserError(*(_faults(argv) or [reason])))
  sys.exit(2)


def _faults(argv: list[str]) -> list[str]:
  """Tries the recipe, then each override of it on its own."""
  args = []
  for arg in argv[1:]:
    if args and args[-1] in ('--config', '-config'):
      args[-1] += f'={arg}'
    elif args and not arg.startswith('-') and '=' not in args[-1]:
      args[-1] += f'={arg}'
    else:
      args.append(arg)
  recipe = [arg for arg in args if re.match(r'--?config=', arg)]
  try:
    _read_config(argv[0], *recipe)
  except Exception as error:
    return [f'{recipe[-1]}: {_reason(error)}']

  faults = []
  for arg in args:
    if not re.match(r'--?(no)?config\.', arg):
      continue
    try:
      _read_config(argv[0], *recipe, arg)
    except (AttributeError, KeyError) as error:
      hint = str(error.args[0]).partition('Did you mean ')[2]
      hint = f'; did you mean {hint.rstrip(chr(39))}' if hint else ''
      faults.append(f'{arg.lstrip("-")}: no such key{hint}')
    except Exception as error:
      faults.append(_reason(error))
  return list(dict.fromkeys(faults))


def _read_config(*argv: str) -> None:
  """Parses these arguments alone; raises what is wrong with them."""
  values = flags.FlagValues()
  holder = config_flags.DEFINE_config_file(
    'config', flag_values=values, sys_argv=list(argv)
  )
  values(argv)
  if holder.value is not None:
    holder.value.is_locked  # noqa: B018


def _reason(error: BaseException) -> str:
  """What went wrong, in one line."""
  if isinstance(error, flags.Error) and '\n' not in str(error):
    return str(error)
  # Of a recipe that fails, ml_collections puts the traceback in the message.
  while error.__context__ is not None:
    error = error.__context__
  return f'{type(error).__name__}: {" ".join(str(error).split())}'


def _loggers() -> list[logging.Logger]:
  """The package's, and that of the tool that runs: its name is __main__."""
  return [logging.getLogger(name) for name in ('inception_jax', '__main__')]


def _set_up_logging():
  """This package's INFO and everybody's warnings, to stderr, with the time."""
  handler = logging.StreamHandler()
  handler.setFormatter(
    logging.Formatter('%(asctime)s %(message)s', datefmt='%H:%M:%S')
  )
  for logger in _loggers():
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.propagate = False
  absl_logging.set_verbosity(absl_logging.WARNING)
  # TensorFlow only reads and decodes here; its banners help nobody.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  # Where oneDNN is its default, it says so at any level, and rounds otherwise.
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')


def use_compilation_cache(folder: str = COMPILATION_CACHE) -> None:
  """Keeps compiled programs in `folder` between runs; '' keeps none.

  $JAX_COMPILATION_CACHE_DIR, where it is set, goes first.
  """
  import jax

  if folder and not jax.config.jax_compilation_cache_dir:
    folder = os.path.expanduser(folder)
    jax.config.update('jax_compilation_cache_dir', folder)
