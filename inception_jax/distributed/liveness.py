"""Ends all processes of a run when one of them ends, and reports which."""

import contextlib
import selectors
import threading
import time

from inception_jax.distributed.connection import Connection
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.runtime import preemption
from inception_jax.runtime.preemption import Preempted
from inception_jax.runtime.process import exit_now

# Seconds to wait for the message that another process has ended, which may be
# why a computation failed in this one.
_GRACE = 5.0


class SharedUserError(UserError):
  """A user's mistake that every process detects by itself."""


@contextlib.contextmanager
def watch_peers(name: str, connections: list[Connection], is_primary: bool):
  """Ends this process when another one fails or vanishes.

  This process then exits with the status of the other, and prints its error. A
  process that vanished counts as preempted, since the run can resume from its
  last checkpoint.

  `name` describes this process; `connections` are those of `rendezvous.meet`.
  Process 0, the primary, saves: the others wait for its end, because a launcher
  may kill it once they have ended.
  """
  watch = _Watch(name, connections, is_primary)
  try:
    yield
  except (Preempted, SharedUserError):  # every process ends with these
    watch.end(0)
    raise
  except UserError as error:
    watch.end(2, '; '.join(error.faults))
    raise
  except (RunError, FloatingPointError) as error:
    watch.end(1, str(error))
    raise
  except Exception as error:
    # Its cause may be the end of another process, reported at any moment.
    time.sleep(_GRACE)
    watch.end(1, f'{type(error).__name__}: {" ".join(str(error).split())}')
    raise
  watch.end(0)


class _Watch:
  """Waits for the ends of other processes, and reports this one's.

  Process 0 is connected to all others and forwards their reports; each of them
  is connected only to process 0.
  """

  def __init__(
    self, name: str, connections: list[Connection], is_primary: bool
  ):
    self._name, self._connections = name, connections
    self._is_primary = is_primary
    self._ended = threading.Event()
    for connection in connections:
      connection.disable_timeout()
    self._thread = threading.Thread(target=self._run, daemon=True)
    self._thread.start()

  def _run(self) -> None:
    with selectors.DefaultSelector() as selector:
      for connection in self._connections:
        selector.register(connection, selectors.EVENT_READ)
      while selector.get_map():
        for key, _ in selector.select():
          selector.unregister(key.fileobj)
          self._receive(key.fileobj)

  def end(self, status: int, reason: str = '') -> None:
    """Reports to the others that this process ends."""
    self._ended.set()
    self._broadcast(status, f'{self._name} ended: {reason}')
    if not (status or self._is_primary):
      self._thread.join()

  def _receive(self, connection: Connection) -> None:
    try:
      message = connection.receive()
      status, reason = int(message['status']), str(message['reason'])
    except (OSError, KeyError, ValueError):
      status = preemption.STATUS
      reason = (
        f'lost {connection.peer}: it was killed, or its host or the network is '
        'down; the same command resumes from the last checkpoint'
      )
    if not status or self._ended.is_set():
      return
    self._broadcast(status, reason)
    exit_now(status, reason)

  def _broadcast(self, status: int, reason: str) -> None:
    for connection in self._connections:
      with contextlib.suppress(OSError):
        connection.send(status=status, reason=reason)
