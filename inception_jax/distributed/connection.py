"""A connection of two processes, which says JSON, a line each."""

import contextlib
import json
import socket

_LONGEST = 1 << 20  # bytes; a config has some thousand

# Seconds: a host that has lost its power says nothing, and is asked.
_KEEP_ALIVE = {'TCP_KEEPIDLE': 10, 'TCP_KEEPINTVL': 5, 'TCP_KEEPCNT': 4}


class Connection:
  """One end of a connection.

  Attributes:
    peer: who is at the other end, in words.
  """

  def __init__(self, connection: socket.socket, peer: str, timeout: float):
    """Takes over a connection; seconds that anything on it may take."""
    self._connection, self.peer = connection, peer
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
      if option := getattr(socket, name, None):  # macOS lacks some
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    connection.settimeout(timeout)
    self._reader = connection.makefile('rb')

  def fileno(self) -> int:
    """For selectors."""
    return self._connection.fileno()

  def be_patient(self) -> None:
    """Waits from now on as long as it takes."""
    self._connection.settimeout(None)

  def say(self, **what) -> None:
    """Raises OSError: the other end has gone."""
    self._connection.sendall(json.dumps(what).encode() + b'\n')

  def hear(self) -> dict:
    """What the other end says next.

    Raises:
      OSError: it has gone, says nothing in time, or something else.
    """
    text = self._reader.readline(_LONGEST)
    if not text.endswith(b'\n'):
      raise ConnectionError('the connection was closed')
    try:
      what = json.loads(text)
    except ValueError as error:
      raise ConnectionError('it does not say JSON') from error
    if not isinstance(what, dict):
      raise ConnectionError('it says something else')
    return what

  def close(self) -> None:
    """Hangs up."""
    with contextlib.suppress(OSError):
      self._reader.close()
      self._connection.close()
