"""The end of one process ends the others, which say whose it was."""

import contextlib
import os
import selectors
import sys
import threading
import time

from inception_jax.distributed.connection import Connection
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.runtime import preemption
from inception_jax.runtime.preemption import Preempted

# Seconds in which the end of another explains why a computation failed here.
_NEWS = 5.0


class SharedUserError(UserError):
  """A mistake that each process finds by itself, the same one."""


@contextlib.contextmanager
def watch_peers(me: str, lines: list[Connection], leads: bool):
  """Ends this process when another ends that has not finished.

  It does so with the status of the other, and says why, as the other did. One
  that vanished without a word counts as a preemption, since the run can go on
  from its last checkpoint.

  Args:
    me: this process, in words.
    lines: to the others, as `roll_call.call` gives them.
    leads: whether this is process 0, which saves. The others wait for its end,
      since what started them may kill it when they have gone.
  """
  watch = _Watch(me, lines)
  thread = threading.Thread(target=watch.run, daemon=True)
  thread.start()
  try:
    yield
  except (Preempted, SharedUserError):  # all of them end so
    watch.end(0)
    if not leads:
      thread.join()
    raise
  except UserError as error:
    watch.end(2, '; '.join(error.faults))
    raise
  except (RunError, FloatingPointError) as error:
    watch.end(1, str(error))
    raise
  except Exception as error:
    # Perhaps because another has gone, of which the news is on its way.
    time.sleep(_NEWS)
    watch.end(1, f'{type(error).__name__}: {" ".join(str(error).split())}')
    raise
  watch.end(0)
  if not leads:
    thread.join()


class _Watch:
  """Hears whether the others are still there, and tells them of an end.

  Process 0 has lines to all, and passes on what it hears; they have one to it.
  """

  def __init__(self, me: str, lines: list[Connection]):
    self._me, self._lines = me, lines
    self._over = threading.Event()
    for line in lines:
      line.be_patient()

  def run(self) -> None:
    """Until all others have finished, or this process has."""
    with selectors.DefaultSelector() as selector:
      for line in self._lines:
        selector.register(line, selectors.EVENT_READ)
      while selector.get_map():
        for key, _ in selector.select():
          selector.unregister(key.fileobj)
          self._heard_from(key.fileobj)

  def end(self, status: int, why: str = '') -> None:
    """Tells the others that this process ends."""
    self._over.set()
    self._spread(status, f'{self._me} ended: {why}')

  def _heard_from(self, line: Connection) -> None:
    try:
      said = line.hear()
      status, why = int(said['status']), str(said['why'])
    except (OSError, KeyError, ValueError):
      status = preemption.STATUS
      why = (
        f'{line.peer} has gone without a word: it was killed, or its host or '
        'the network is down; the same command goes on from the last checkpoint'
      )
    if not status or self._over.is_set():
      return
    self._spread(status, why)
    print(f'error: {why}', file=sys.stderr, flush=True)
    os._exit(status)

  def _spread(self, status: int, why: str) -> None:
    for line in self._lines:
      with contextlib.suppress(OSError):
        line.say(status=status, why=why)
