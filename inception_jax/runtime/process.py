"""This process: its place among those of a run, and its immediate end."""

import ctypes
import faulthandler
import os
import signal
import sys
from typing import NoReturn

from inception_jax.errors import printable


def is_primary() -> bool:
  """Returns whether this is process 0.

  A process that has not called jax.distributed.initialize is alone, so that
  commands that need no device start no backend here.
  """
  import jax

  return not jax.distributed.is_initialized() or jax.process_index() == 0


def delay_abort() -> None:
  """Makes a process that calls abort() live on for six seconds.

  jax aborts a process when the coordinator is gone, often before the thread of
  Python that notices it as well can print the reason and exit with its status.
  """
  enabled = faulthandler.is_enabled()
  faulthandler.disable()
  libc = ctypes.CDLL(None)
  # The handler's argument is the signal's number: sleep(6). A handler in Python
  # would not run, and faulthandler, above it, still prints the stacks.
  libc.signal(signal.SIGABRT, ctypes.cast(libc.sleep, ctypes.c_void_p))
  if enabled:
    faulthandler.enable()


def exit_now(status: int, *faults: str) -> NoReturn:
  """Prints a line for each fault on stderr and ends the process at once.

  Its threads do not matter. sys.exit would wait: jax for the other processes,
  orbax for its threads, which never end after a failed save. It ends even where
  nobody reads stderr any more, such as a terminal that was closed.
  """
  try:
    for fault in faults:
      print(f'error: {printable(fault)}', file=sys.stderr, flush=True)
  finally:
    os._exit(status)


def open_standard_streams() -> None:
  """Opens those of stdin, stdout and stderr that are closed, on /dev/null.

  A file opened later would get the number of a closed one, and all that is
  printed there.
  """
  for descriptor, name in enumerate(('stdin', 'stdout', 'stderr')):
    try:
      os.fstat(descriptor)
    except OSError:
      os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    if getattr(sys, name) is None:
      mode = 'w' if descriptor else 'r'
      setattr(sys, name, open(descriptor, mode, closefd=False))
