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
from inception_jax.distributed.connection import TOKEN
from inception_jax.distributed.connection import Connection
from inception_jax.distributed.listener import Listener
from inception_jax.errors import UserError
from inception_jax.runtime import files
from inception_jax.runtime.preemption import ProcessLost

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
    ProcessLost: a process did not connect in time; the same in all of them.
    UserError: they do not agree; the same in all of them.
  """
  fingerprint = fingerprints.fingerprint(process, config, workdir)
  log.info(
    'process %d of %d: connecting at %s, for at most %g s',
    *(process.index, process.count, process.address, timeout),
  )
  if process.index:
    return [_join(process, fingerprint, workdir, timeout)]
  connections, others, faults, lost = _accept(
    process, fingerprint, config, timeout
  )
  faults += fingerprints.compare(fingerprint, config, others)
  if not (faults or lost) and fingerprints.is_local(workdir):
    faults = _check_shared(workdir, connections)
  faults = errors.shorten([errors.printable(fault) for fault in faults])
  for connection in connections:
    with contextlib.suppress(OSError):  # `liveness` reports a lost process
      connection.send(faults=faults, lost=lost)
    if faults or lost:
      connection.close()
  _raise(faults, lost)
  hosts = {0: fingerprint, **others}
  log.info(
    'all processes are connected: %s',
    ', '.join(f'process {i} on {hosts[i]["host"]}' for i in sorted(hosts)),
  )
  return connections


def _raise(faults: list[str], lost: str) -> None:
  if faults:
    raise UserError(*faults)
  if lost:
    raise ProcessLost(lost)


def _accept(
  process: ProcessInfo, fingerprint: dict, config, timeout: float
) -> tuple[list[Connection], dict[int, dict], list[str], str]:
  """Returns connections, fingerprints by index, and faults of the others.

  And, if there are no faults, which processes are missing, or ''.
  """
  connections: list[Connection] = []
  others: dict[int, dict] = {}
  faults: list[str] = []
  deadline = time.monotonic() + timeout
  with Listener(process) as listener:
    while len(connections) < process.count - 1:
      left = deadline - time.monotonic()
      if left <= 0:
        break
      for connection, other in listener.arrivals(left):
        if not _is_process(other, fingerprint, config):
          listener.refuse(connection)
          continue
        index = other['index']
        other['host'] = errors.printable(other['host'], 100)
        connection.peer = f'process {index} on {other["host"]}'
        if fault := _check_index(other, {0: fingerprint, **others}):
          faults.append(fault)
          # Wait only a little for processes with further faults.
          deadline = min(deadline, time.monotonic() + _ANSWER_TIMEOUT / 2)
          # Unique, so that it is compared as well.
          index = -1 - len(connections)
        others[index] = other
        connections.append(connection)
    refused = sorted(listener.refused)
  missing = [str(i) for i in range(1, process.count) if i not in others]
  if faults or not missing:
    return connections, others, faults, ''
  lost = (
    f'{len(missing)} of {process.count} processes did not connect to '
    f'{process.address} within {timeout:g} s: '
    + ', '.join(errors.shorten(missing))
    + _hint(process)
  )
  if refused:
    lost += (
      f'; connections from {", ".join(errors.shorten(refused, 5))} were '
      f'refused: other programs, or processes with another {TOKEN}'
    )
  return connections, others, faults, lost


def _is_process(message: dict, own: dict, config) -> bool:
  """Returns whether a message is a fingerprint, which may differ from `own`."""
  try:
    if not fingerprints.is_fingerprint(message, own):
      return False
    fingerprints.compare(own, config, {0: message})
  except Exception:  # whatever a value of another type breaks
    return False
  return type(message['index']) is int and message['index'] >= 0


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
    tempfile.NamedTemporaryFile(prefix='.rendezvous-', dir=folder) as file,
  ):
    for connection in connections:
      with contextlib.suppress(OSError):
        connection.send(file=file.name)
    deadline = time.monotonic() + _ANSWER_TIMEOUT
    for connection in connections:
      with contextlib.suppress(OSError):
        answer = connection.receive(deadline - time.monotonic())
        if not answer.get('exists'):
          faults.append(
            f'--workdir={workdir} is not shared: {connection.peer} does not '
            f'see what process 0 on {platform.node()} writes there'
          )
  return faults


def _join(
  process: ProcessInfo, fingerprint: dict, workdir: str, timeout: float
) -> Connection:
  """Returns the connection to process 0, after all processes have joined."""
  deadline = time.monotonic() + timeout
  connection = _connect(process, deadline, timeout)
  try:
    connection.send(**fingerprint)
    # Process 0 answers when all have connected, or after its own timeout.
    left = max(0.0, deadline - time.monotonic())
    answer = connection.receive(left + 2 * _ANSWER_TIMEOUT)
    if file := answer.get('file'):
      # Untrusted: only a name inside the workdir is looked up.
      file = os.path.join(workdir, os.path.basename(str(file)))
      connection.send(exists=_wait_for_file(file))
      answer = connection.receive(2 * _ANSWER_TIMEOUT)
    faults = [errors.printable(fault) for fault in answer['faults']]
    lost = errors.printable(answer['lost'])
  except (OSError, KeyError, TypeError, ValueError) as error:
    connection.close()
    raise ProcessLost(
      f'process 0 at {process.address} has ended, is another program, or has '
      f'another {TOKEN}: see its log'
    ) from error
  if faults or lost:
    connection.close()
  _raise(faults, lost)
  return connection


def _wait_for_file(path: str) -> bool:
  """Waits for a file, which a network file system may show with a delay."""
  deadline = time.monotonic() + _ANSWER_TIMEOUT / 2
  while not os.path.exists(path):
    if time.monotonic() > deadline:
      return False
    time.sleep(_RETRY)
  return True


def _connect(
  process: ProcessInfo, deadline: float, timeout: float
) -> Connection:
  """Connects to process 0, and retries until the deadline."""
  while True:
    left = deadline - time.monotonic()
    try:
      connection = socket.create_connection(
        (process.host, process.port), timeout=max(_RETRY, left)
      )
      return Connection(connection, f'process 0 at {process.address}')
    except OSError as error:
      if left <= 0:
        raise ProcessLost(
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
