"""Command line: flags, error messages, logs on stderr, JSON on stdout."""

from collections.abc import Callable
import logging
import os
import re
import signal
import traceback

from absl import app
from absl import flags
from absl import logging as absl_logging
from tqdm.contrib.logging import logging_redirect_tqdm

from inception_jax import inputs
from inception_jax.buckets import runs
from inception_jax.buckets import urls
from inception_jax.config.serialization import json_line
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.errors import one_line
from inception_jax.errors import printable
from inception_jax.runtime import arguments
from inception_jax.runtime import disk
from inception_jax.runtime import preemption
from inception_jax.runtime.preemption import Preempted
from inception_jax.runtime.preemption import ProcessLost
from inception_jax.runtime.process import exit_now
from inception_jax.runtime.process import open_standard_streams

COMPILATION_CACHE = '~/.cache/inception_jax'
# In XLA's messages: of any device, and of a failed malloc on a CPU.
_OUT_OF_MEMORY = re.compile('RESOURCE_EXHAUSTED|[Oo]ut of memory|YNNPACK')
_LESS_MEMORY = (
  'less is needed with a smaller --config.batch_size; in training, also with '
  '--config.gradient_accumulation=2 or --config.remat=True'
)
# Of the package, of the benchmarks and of the running tool.
_PACKAGES = ('inception_jax', 'benchmarks', '__main__')
_LOGGERS = [logging.getLogger(name) for name in _PACKAGES]
log = logging.getLogger(__name__)
# Those that the functions below define are key flags of their callers, which
# --help lists.
flags.disclaim_key_flags()


class _PathParser(flags.ArgumentParser):
  def __init__(self, copied: bool = True):
    self.copied = copied

  def parse(self, argument: str) -> str:
    try:
      inputs.check_url(argument)
      return inputs.expand_home(argument)
    except UserError as error:
      raise ValueError(str(error)) from None


def define_path(
  name: str, description: str, default: str = '', copied: bool = True
) -> flags.FlagHolder:
  """Defines a flag that is a path; a leading `~` is expanded.

  If it is in a bucket, the command sees a local copy, and what it changes there
  is written to the bucket at its end; not if it is not `copied`.
  """
  return flags.DEFINE(_PathParser(copied), name, default, description)


def define_paths(name: str, description: str) -> flags.FlagHolder:
  """Defines a flag that is a path and may be repeated; default: none."""
  return flags.DEFINE_multi(
    _PathParser(), flags.ArgumentSerializer(), name, [], description
  )


def paths_of(flag: flags.FlagHolder, words: list[str]) -> list[str]:
  """Returns the paths of a repeated flag, then those of positional words.

  Raises:
    UserError: words are no paths; all of them.
  """
  paths, faults = [*flag.value], []
  for word in words:
    try:
      paths.append(runs.local(_PathParser().parse(word)))
    except UserError as error:
      faults += error.faults
    except ValueError as error:
      faults.append(str(error))
  if faults:
    raise UserError(*faults)
  return paths


class _Formatter(logging.Formatter):
  """Formats log lines; names from outside neither break nor rule them."""

  def formatMessage(self, record):
    return printable(urls.named(super().formatMessage(record)))


def run(
  command: Callable[..., dict | None],
  status: Callable[[dict], int] = lambda result: 0,
  takes_paths: bool = False,
) -> None:
  """Runs a command and prints its result as the last line on stdout, as JSON.

  It is called after flags are parsed, and with the positional arguments if it
  `takes_paths`; it returns None where another process prints. `status` maps
  the result to the exit status. A `UserError` becomes one line on stderr for
  each fault, and exit status 2.
  """
  open_standard_streams()
  _set_up_logging()

  def main(argv):
    try:
      if argv[1:] and not takes_paths:
        raise UserError(f'not a flag: {" ".join(argv[1:])}')
      # Log lines go above a progress bar, not into it.
      with logging_redirect_tqdm(_LOGGERS):
        result = _with_buckets(command, *[argv[1:]] * takes_paths)
      if result is None:
        return 0
      print(urls.named(json_line(result)), flush=True)
      return status(result)
    except UserError as error:
      exit_now(2, *map(urls.named, error.faults))
    except Preempted as error:
      hint = 'saved; the same command resumes from here'
      log.warning('stopped after %s: %s', error, hint)
      exit_now(preemption.STATUS)
    except ProcessLost as error:
      exit_now(preemption.STATUS, str(error))
    except (RunError, FloatingPointError) as error:  # the latter: divergence
      exit_now(1, urls.named(str(error)))
    except BrokenPipeError:  # as of `| head`
      exit_now(1, 'the reader of stdout has ended')
    except KeyboardInterrupt:
      exit_now(128 + signal.SIGINT, 'interrupted')
    except Exception as error:
      if fault := disk.disk_fault(error):
        exit_now(1, fault)
      if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
        reason = one_line(error).rstrip('.')
        exit_now(1, f'{reason}: {_LESS_MEMORY}')
      traceback.print_exc()
      exit_now(1)

  app.run(main, flags_parser=arguments.parse)


def _with_buckets(command: Callable[..., dict | None], *args) -> dict | None:
  """Calls a command with local copies of the paths that are in buckets."""
  try:
    for name in flags.FLAGS:
      flag = flags.FLAGS[name]
      if isinstance(flag.parser, _PathParser) and flag.parser.copied:
        if isinstance(flag.value, list):
          flag.value = [runs.local(path) for path in flag.value]
        elif flag.value:
          flag.value = runs.local(flag.value)
    result = command(*args)
    runs.publish()
    return result
  finally:
    runs.close()


def _set_up_logging():
  """Logs this package's INFO and all warnings to stderr, with the time."""
  handler = logging.StreamHandler()
  handler.setFormatter(_Formatter('%(asctime)s %(message)s', '%H:%M:%S'))
  for logger in _LOGGERS:
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.propagate = False
  absl_logging.set_verbosity(absl_logging.WARNING)
  # TensorFlow only reads and decodes here; its banners are of no use.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  # oneDNN, the default on some CPUs, logs at any level and rounds differently.
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')


def use_cpu() -> None:
  """Uses no accelerator: there may be none, or another process may use it."""
  import jax

  jax.config.update('jax_platforms', 'cpu')


def use_compilation_cache(folder: str = COMPILATION_CACHE) -> None:
  """Caches programs in $JAX_COMPILATION_CACHE_DIR or else `folder`, if any.

  A damaged entry is a warning, and its program is compiled again.
  """
  import jax
  from jax._src import compilation_cache

  # Where zstandard is installed, jax prefers it to zlib. It would write no
  # checksums, and flipped bits would be executed.
  compilation_cache.zstandard = None
  if not folder or jax.config.jax_compilation_cache_dir:
    return
  try:
    folder = inputs.expand_home(folder)
  except UserError as error:
    if folder != COMPILATION_CACHE:
      raise
    log.warning('compiled programs are not cached: %s', error)
    return
  jax.config.update('jax_compilation_cache_dir', folder)
