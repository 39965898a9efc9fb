"""A connection between two processes that carries signed lines of JSON.

A line is the HMAC-SHA256 of a JSON object, by the token that the processes of a
run share, and the object. What is not signed is not parsed.
"""

import contextlib
import hmac
import json
import os
import selectors
import socket
import threading
import time

from inception_jax import inputs

TOKEN = 'INCEPTION_JAX_TOKEN'  # the environment variable
_MAX_BYTES = 1 << 18  # of a line; a config has some thousand
_SEND_TIMEOUT = 10.0  # seconds


class Connection:
  """One end of a connection; `peer` describes the process at the other end."""

  def __init__(self, connection: socket.socket, peer: str):
    """Takes ownership of a socket."""
    self._connection, self.peer = connection, peer
    self._key = os.environ.get(TOKEN, '').encode()
    self._unfinished, self._messages = bytearray(), []
    self._sending = threading.Lock()
    connection.settimeout(_SEND_TIMEOUT)

  def fileno(self) -> int:
    """Returns the file descriptor, for selectors."""
    return self._connection.fileno()

  def send(self, **message) -> None:
    """Sends a message; raises OSError if the other end has closed."""
    text = json.dumps(message).encode()
    with self._sending:
      self._connection.sendall(self._signature(text) + b' ' + text + b'\n')

  def read(self) -> list[dict]:
    """Returns the messages that have arrived; waits for none.

    Raises:
      OSError: the connection was closed, or the data is too long, not signed
        with this process's token, or no JSON object.
    """
    messages, self._messages = self._messages, []
    if self._readable(0) and not messages:
      messages = self._receive()
    return messages

  def receive(self, timeout: float) -> dict:
    """Returns the next message; raises OSError as `read`, or after `timeout`.

    The timeout, in seconds, is that of the whole message.
    """
    deadline = time.monotonic() + timeout
    while not self._messages:
      if not self._readable(max(0.0, deadline - time.monotonic())):
        raise TimeoutError('no message in time')
      self._messages = self._receive()
    return self._messages.pop(0)

  def close(self) -> None:
    """Closes the connection."""
    with contextlib.suppress(OSError):
      self._connection.close()

  def _readable(self, timeout: float) -> bool:
    with selectors.DefaultSelector() as selector:
      selector.register(self, selectors.EVENT_READ)
      return bool(selector.select(timeout))

  def _receive(self) -> list[dict]:
    """Returns the messages that the next bytes complete."""
    data = self._connection.recv(1 << 16)
    if not data:
      raise ConnectionError('the connection was closed')
    self._unfinished += data
    lines = []
    if b'\n' in data:
      *lines, self._unfinished = self._unfinished.split(b'\n')
    if len(self._unfinished) > _MAX_BYTES:
      raise ConnectionError('the connection sent too long a line')
    return [self._parse(line) for line in lines]

  def _parse(self, line: bytes) -> dict:
    signature, _, text = line.partition(b' ')
    if hmac.compare_digest(signature, self._signature(text)):
      with contextlib.suppress(ValueError):
        if isinstance(message := inputs.parse_json(text), dict):
          return message
    raise ConnectionError('the connection sent no signed JSON object')

  def _signature(self, text: bytes) -> bytes:
    return hmac.new(self._key, text, 'sha256').hexdigest().encode()
