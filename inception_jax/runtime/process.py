"""This process: its place among those of a run, and its immediate end."""

import os
import sys
from typing import NoReturn


def is_primary() -> bool:
  """Returns whether this is process 0.

  A process that has not called jax.distributed.initialize is alone, so that
  commands that need no device start no backend here.
  """
  import jax

  return not jax.distributed.is_initialized() or jax.process_index() == 0


def exit_now(status: int, *faults: str) -> NoReturn:
  """Prints faults on stderr and ends the process, whatever its threads do.

  sys.exit would wait: jax for the other processes, orbax for its threads, which
  never end after a failed save.
  """
  for fault in faults:
    print(f'error: {fault}', file=sys.stderr)
  sys.stderr.flush()
  os._exit(status)
