"""Connects the processes of a run, and checks that they agree, before JAX."""

import contextlib
import logging
import os
import platform
import socket
import tempfile
import time

from inception_jax import errors
from inception_jax.distributed import fingerprint as fingerprints
from inception_jax.distributed.cluster import ProcessInfo
from inception_jax.distributed.connection import Connection
from inception_jax.errors import UserError
from inception_jax.runtime import files

log = logging.getLogger(__name__)

_ANSWER_TIMEOUT = 10.0  # seconds, for a process that is already connected
_RETRY = 0.2  # seconds between attempts to connect


def meet(
  process: ProcessInfo, config, workdir: str, timeout: float
) -> list[Connection]:
  """Connects all processes to process 0, and compares their fingerprints.

  Waits `timeout` seconds for all of them. The workdir may be ''.

  Returns:
    On process 0 a connection to every other process, on these one to process 0.

  Raises:
    UserError: a process did not connect in time, or they do not agree; the
      same error in all of them.
  """
  fingerprint = fingerprints.fingerprint(process, config, workdir)
  log.info(
    'process %d of %d: connecting at %s, for at most %g s',
    *(process.index, process.count, process.address, timeout),
  )
  if process.index:
    return [_join(process, fingerprint, workdir, timeout)]
  connections, others, faults = _accept(process, fingerprint, timeout)
  faults += fingerprints.compare(fingerprint, config, others)
  if not faults and fingerprints.is_local(workdir):
    faults = _check_shared(workdir, connections)
  faults = errors.shorten(faults)
  for connection in connections:
    with contextlib.suppress(OSError):  # `liveness` reports a lost process
      connection.send(faults=faults)
    if faults:
      connection.close()
  if faults:
    raise UserError(*faults)
  hosts = {0: fingerprint, **others}
  log.info(
    'all processes are connected: %s',
    ', '.join(f'process {i} on {hosts[i]["host"]}' for i in sorted(hosts)),
  )
  return connections


def _listen(process: ProcessInfo) -> socket.socket:
  v6 = socket.has_dualstack_ipv6()
  try:
    return socket.create_server(
      ('', process.port),
      family=socket.AF_INET6 if v6 else socket.AF_INET,
      dualstack_ipv6=v6,
      backlog=process.count,
    )
  except OSError as error:
    raise UserError(
      f'{process.address}: cannot listen on port {process.port} '
      f'({os.strerror(error.errno)})'
    ) from error


def _accept(
  process: ProcessInfo, fingerprint: dict, timeout: float
) -> tuple[list[Connection], dict[int, dict], list[str]]:
  """Returns connections, fingerprints by index, and faults of the others."""
  connections: list[Connection] = []
  others: dict[int, dict] = {}
  faults: list[str] = []
  deadline = time.monotonic() + timeout
  with _listen(process) as server:
    while len(connections) < process.count - 1:
      server.settimeout(max(0.01, deadline - time.monotonic()))
      try:
        accepted, address = server.accept()
      except TimeoutError:
        break
      connection = Connection(accepted, address[0], _ANSWER_TIMEOUT)
      try:
        other = connection.receive()
      except OSError:
        other = {}
      if not fingerprints.is_fingerprint(other, fingerprint):
        connection.close()  # another program
        continue
      index = other['index']
      connection.peer = f'process {index} on {other["host"]}'
      if fault := _check_index(other, {0: fingerprint, **others}):
        faults.append(fault)
        # Wait only a little for processes with further faults.
        deadline = min(deadline, time.monotonic() + _ANSWER_TIMEOUT / 2)
        index = -1 - len(connections)  # unique, so that it is compared as well
      others[index] = other
      connections.append(connection)
  missing = [str(i) for i in range(1, process.count) if i not in others]
  if missing and not faults:
    faults = [
      f'{len(missing)} of {process.count} processes did not connect to '
      f'{process.address} within {timeout:g} s: '
      + ', '.join(errors.shorten(missing))
      + _hint(process)
    ]
  return connections, others, faults


def _check_index(other: dict, known: dict[int, dict]) -> str:
  """Returns the fault of a process's index or count, or ''."""
  index, host, primary = other['index'], other['host'], known[0]
  if other['count'] != primary['count']:
    return (
      f'process {index} on {host} expects {other["count"]} processes, process '
      f'0 on {primary["host"]} {primary["count"]}: check --num_processes'
    )
  if index in known:
    return (
      f'processes on {known[index]["host"]} and on {host} both have the index '
      f'{index}: check --process_id'
    )
  return ''


def _check_shared(workdir: str, connections: list[Connection]) -> list[str]:
  """Returns a fault for each process that does not see a file in workdir."""
  faults = []
  # Process 0 itself reports later that it cannot write there.
  with (
    contextlib.suppress(OSError),
    files.temporary_folder(workdir) as folder,
    tempfile.NamedTemporaryFile(prefix='.rendezvous-', dir=folder) as token,
  ):
    for connection in connections:
      with contextlib.suppress(OSError):
        connection.send(token=token.name)
        if not connection.receive().get('exists'):
          faults.append(
            f'--workdir={workdir} is not shared: {connection.peer} does not '
            f'see what process 0 on {platform.node()} writes there'
          )
  return faults


def _join(
  process: ProcessInfo, fingerprint: dict, workdir: str, timeout: float
) -> Connection:
  """Returns the connection to process 0, after all processes have joined."""
  connection = _connect(process, timeout)
  try:
    connection.send(**fingerprint)
    # Process 0 answers when all other processes are connected.
    answer = connection.receive()
    if token := answer.get('token'):
      # Untrusted: only a name inside the workdir is looked up.
      token = os.path.join(workdir, os.path.basename(token))
      connection.send(exists=_wait_for_file(token))
      answer = connection.receive()
    faults = answer['faults']
  except (OSError, KeyError) as error:
    connection.close()
    raise UserError(
      f'process 0 at {process.address} has ended, or is another program: see '
      'its log'
    ) from error
  if faults:
    connection.close()
    raise UserError(*faults)
  return connection


def _wait_for_file(path: str) -> bool:
  """Waits for a file, which a network file system may show with a delay."""
  deadline = time.monotonic() + _ANSWER_TIMEOUT / 2
  while not os.path.exists(path):
    if time.monotonic() > deadline:
      return False
    time.sleep(_RETRY)
  return True


def _connect(process: ProcessInfo, timeout: float) -> Connection:
  """Connects to process 0, and retries until the timeout."""
  deadline = time.monotonic() + timeout
  while True:
    left = deadline - time.monotonic()
    try:
      connection = socket.create_connection(
        (process.host, process.port), timeout=max(_RETRY, left)
      )
      # Process 0 answers when all have connected, or after its own timeout.
      peer = f'process 0 at {process.address}'
      return Connection(connection, peer, max(0.0, left) + 2 * _ANSWER_TIMEOUT)
    except OSError as error:
      if left <= 0:
        raise UserError(
          f'process {process.index} could not connect to process 0 at '
          f'{process.address} within {timeout:g} s ({error.strerror or error})'
          f': is it running, and is the port open?{_hint(process)}'
        ) from error
    time.sleep(_RETRY)


def _hint(process: ProcessInfo) -> str:
  """Returns a hint if the coordinator has a loopback address, or ''."""
  with contextlib.suppress(OSError):
    found = socket.getaddrinfo(process.host, process.port)
    if all(x[4][0].startswith('127.') or x[4][0] == '::1' for x in found):
      return (
        f'; {process.host} is a loopback address, which other hosts cannot '
        'reach: give the host of process 0 as --coordinator_address'
      )
  return ''
