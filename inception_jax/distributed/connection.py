"""A connection between two processes that carries lines of JSON."""

import contextlib
import json
import socket

_MAX_BYTES = 1 << 20  # of a line; a config has some thousand
# Seconds: detects a host that lost power, which closes no connection.
_KEEP_ALIVE = {'TCP_KEEPIDLE': 10, 'TCP_KEEPINTVL': 5, 'TCP_KEEPCNT': 4}


class Connection:
  """One end of a connection; `peer` describes the process at the other end."""

  def __init__(self, connection: socket.socket, peer: str, timeout: float):
    """Takes ownership of a socket; `timeout` of each operation, in seconds."""
    self._connection, self.peer = connection, peer
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
      if option := getattr(socket, name, None):  # macOS lacks some
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    connection.settimeout(timeout)
    self._reader = connection.makefile('rb')

  def fileno(self) -> int:
    """Returns the file descriptor, for selectors."""
    return self._connection.fileno()

  def disable_timeout(self) -> None:
    """Makes all further operations wait without a limit."""
    self._connection.settimeout(None)

  def send(self, **message) -> None:
    """Sends a message; raises OSError if the other end has closed."""
    self._connection.sendall(json.dumps(message).encode() + b'\n')

  def receive(self) -> dict:
    """Returns the next message.

    Raises:
      OSError: the connection was closed, nothing came in time, or the data is
        not a JSON object.
    """
    line = self._reader.readline(_MAX_BYTES)
    with contextlib.suppress(ValueError):
      message = json.loads(line)
      if line.endswith(b'\n') and isinstance(message, dict):
        return message
    raise ConnectionError('the connection was closed, or sent no JSON object')

  def close(self) -> None:
    """Closes the connection."""
    with contextlib.suppress(OSError):
      self._reader.close()
      self._connection.close()
