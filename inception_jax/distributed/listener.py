"""The port at which process 0 waits for the others."""

import os
import selectors
import socket

from inception_jax.distributed.cluster import ProcessInfo
from inception_jax.distributed.connection import Connection
from inception_jax.errors import UserError

# Connections of other programs that are kept open; more close the oldest.
_STRANGERS = 100


class Listener:
  """The port of process 0, and connections that have sent no message yet.

  They are read as data arrives, so that none delays the others.
  """

  def __init__(self, process: ProcessInfo):
    self._most = process.count + _STRANGERS
    v6 = socket.has_dualstack_ipv6()
    try:
      self._server = socket.create_server(
        ('', process.port),
        family=socket.AF_INET6 if v6 else socket.AF_INET,
        dualstack_ipv6=v6,
        backlog=self._most,
      )
    except OSError as error:
      raise UserError(
        f'{process.address}: cannot listen on port {process.port} '
        f'({os.strerror(error.errno)})'
      ) from error
    self._server.settimeout(0)
    self._selector = selectors.DefaultSelector()
    self._selector.register(self._server, selectors.EVENT_READ)
    self._waiting: list[Connection] = []
    self.refused: set[str] = set()  # addresses

  def __enter__(self):
    return self

  def __exit__(self, *_) -> None:
    for connection in (*self._waiting, self._server, self._selector):
      connection.close()

  def arrivals(self, timeout: float) -> list[tuple[Connection, dict]]:
    """Waits once; returns connections that sent their first message."""
    found = []
    for key, _ in self._selector.select(timeout):
      if key.fileobj is self._server:
        self._accept()
        continue
      connection = key.fileobj
      if connection not in self._waiting:  # closed to make room, just now
        continue
      try:
        messages = connection.read()
      except OSError:
        self._remove(connection)
        self.refuse(connection)
        continue
      if messages:
        self._remove(connection)
        found.append((connection, messages[0]))
    return found

  def refuse(self, connection: Connection) -> None:
    """Closes the connection of another program."""
    self.refused.add(connection.peer)
    connection.close()

  def _accept(self) -> None:
    try:
      accepted, address = self._server.accept()
    except OSError:  # it is gone again, or there are too many open files
      return
    connection = Connection(accepted, address[0])
    self._waiting.append(connection)
    self._selector.register(connection, selectors.EVENT_READ)
    if len(self._waiting) > self._most:
      self.refuse(self._remove(self._waiting[0]))

  def _remove(self, connection: Connection) -> Connection:
    self._waiting.remove(connection)
    self._selector.unregister(connection)
    return connection
