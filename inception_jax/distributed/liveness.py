"""Ends all processes of a run when one of them ends, and reports which."""

import contextlib
import math
import selectors
import threading
import time

from inception_jax import errors
from inception_jax.distributed.connection import Connection
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.runtime import preemption
from inception_jax.runtime.preemption import Preempted
from inception_jax.runtime.process import exit_now

HEARTBEAT_SECONDS = 3.0
# Far more than the Python interpreter is kept busy by one call, such as loading
# TensorFlow from a slow disk; less than the 30 seconds after which Gloo fails.
MISSED_HEARTBEATS = 8


class SharedUserError(UserError):
  """A user's mistake that every process detects by itself."""


# Every process ends with these.
TOGETHER = (Preempted, SharedUserError)


@contextlib.contextmanager
def watch_peers(name: str, connections: list[Connection], is_primary: bool):
  """Ends this process when another one fails, vanishes or is frozen.

  This process then exits with the status of the other, and prints its error. A
  process that vanished or is frozen counts as preempted, since the run can
  resume from its last checkpoint.

  `name` describes this process; `connections` are those of `rendezvous.meet`.
  Process 0, the primary, saves: the others wait for its end, because a launcher
  may kill it once they have ended.

  Yields a function that waits until every process has called it as often,
  however long that takes: Gloo's collectives fail after 30 seconds.
  """
  watch = _Watch(name, connections, is_primary)
  try:
    yield watch.meet
  except TOGETHER:
    watch.end(0)
    raise
  except UserError as error:
    watch.end(2, '; '.join(error.faults))
    raise
  except (RunError, FloatingPointError) as error:
    watch.end(1, str(error))
    raise
  except Exception as error:
    # Its cause may be another process, which `watch` ends this one for.
    time.sleep(HEARTBEAT_SECONDS * (MISSED_HEARTBEATS + 2))
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
    self._status: int | None = None
    # How often each other process has come to a meeting, and this one.
    self._came, self._meetings = dict.fromkeys(connections, 0.0), 0
    self._changed = threading.Condition()
    self._thread = threading.Thread(target=self._run, daemon=True)
    self._thread.start()

  def meet(self) -> None:
    """Waits for all processes."""
    self._meetings += 1
    if not self._is_primary:
      self._send(came=True)
    with self._changed:
      self._changed.wait_for(
        lambda: all(x >= self._meetings for x in self._came.values())
      )
    if self._is_primary:
      self._send(came=True)

  def end(self, status: int, reason: str = '') -> None:
    """Reports to the others that this process ends."""
    self._status = status
    self._send(
      status=status, reason=errors.printable(f'{self._name} ended: {reason}')
    )
    if not (status or self._is_primary):
      self._thread.join()

  def _run(self) -> None:
    # Heartbeats that this process sent since it heard from the other. Not
    # seconds, which also pass while this one is suspended.
    missed = dict.fromkeys(self._connections, 0)
    due = time.monotonic()
    with selectors.DefaultSelector() as selector:
      for connection in missed:
        selector.register(connection, selectors.EVENT_READ)
      ready = list(missed)  # messages may have come with those of `meet`
      while True:
        for connection in ready:
          missed[connection] = 0
          if not self._goes_on(connection):
            selector.unregister(connection)
            del missed[connection]
            self._arrived(connection, math.inf)
        if not missed:
          return
        if time.monotonic() >= due:
          due = time.monotonic() + HEARTBEAT_SECONDS
          self._send()
          for connection in missed:
            missed[connection] += 1
            if missed[connection] > MISSED_HEARTBEATS:
              self._lose(connection, 'it is frozen')
        left = max(0.0, due - time.monotonic())
        ready = [key.fileobj for key, _ in selector.select(left)]

  def _goes_on(self, connection: Connection) -> bool:
    """Reads a connection; returns whether the other process has not ended."""
    try:
      for message in connection.read():
        if not message:  # a heartbeat
          continue
        if 'came' in message:
          self._arrived(connection, 1)
          continue
        status = message['status']
        if status not in range(256):
          raise ValueError
        if status:
          self._exit(int(status), errors.printable(message['reason']))
        return False
    except (OSError, KeyError, TypeError, ValueError):
      self._lose(connection, 'it was killed')
      return False
    return True

  def _arrived(self, connection: Connection, meetings: float) -> None:
    with self._changed:
      self._came[connection] += meetings
      self._changed.notify()

  def _lose(self, connection: Connection, why: str) -> None:
    self._exit(
      preemption.STATUS,
      f'lost {connection.peer}: {why}, or its host or the network is down; the '
      'same command resumes from the last checkpoint',
    )

  def _exit(self, status: int, reason: str) -> None:
    # Unless this process ends by itself, and does not wait for another one.
    if self._status is None or not (self._status or self._is_primary):
      self._send(status=status, reason=reason)
      exit_now(status, reason)

  def _send(self, **message) -> None:
    for connection in self._connections:
      with contextlib.suppress(OSError):
        connection.send(**message)
