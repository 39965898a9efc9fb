"""All processes come together and compare what they are, before jax does."""

import contextlib
import logging
import os
import platform
import socket
import tempfile
import time

from inception_jax import errors
from inception_jax.distributed import fingerprint
from inception_jax.distributed.cluster import ProcessInfo
from inception_jax.distributed.connection import Connection
from inception_jax.errors import UserError
from inception_jax.runtime import files

log = logging.getLogger(__name__)

_PATIENCE = 10.0  # seconds for an answer of one that is there

_RETRY = 0.2  # seconds until one that was not yet there is tried again


def meet(
  place: ProcessInfo, config, workdir: str, timeout: float
) -> list[Connection]:
  """Waits for all, and compares them.

  Args:
    place: of this process.
    config: the whole config.
    workdir: of the run, or ''.
    timeout: seconds to wait for all to come.

  Returns:
    Lines to the others: of process 0 to each, of each to it.

  Raises:
    UserError: not all came, or they do not fit together; all say the same.
  """
  about = fingerprint.fingerprint(place, config, workdir)
  deadline = time.monotonic() + timeout
  log.info(
    'process %d of %d: meeting the others at %s, for at most %g s',
    *(place.index, place.count, place.address, timeout),
  )
  if place.index:
    return [_answer(place, about, workdir, deadline, timeout)]
  lines, others, faults = _gather(place, about, deadline, timeout)
  faults += fingerprint.compare(about, config, others)
  if not faults and fingerprint.is_local(workdir):
    faults = _not_shared(workdir, lines)
  faults = errors.shorten(faults)
  for line in lines:
    with contextlib.suppress(OSError):  # its end is noticed from now on
      line.say(faults=faults)
  if faults:
    for line in lines:
      line.close()
    raise UserError(*faults)
  hosts = {0: about, **others}
  log.info(
    'all are here: %s',
    ', '.join(f'process {i} on {hosts[i]["host"]}' for i in sorted(hosts)),
  )
  return lines


def _gather(place: ProcessInfo, about: dict, deadline: float, timeout: float):
  """(lines, what each says of itself, faults) of those that come in time."""
  lines: list[Connection] = []
  others: dict[int, dict] = {}
  faults: list[str] = []
  v6 = socket.has_dualstack_ipv6()
  try:
    server = socket.create_server(
      ('', place.port),
      family=socket.AF_INET6 if v6 else socket.AF_INET,
      dualstack_ipv6=v6,
      backlog=place.count,
    )
  except OSError as error:
    reason = f'{place.address}: port {place.port} cannot be listened on'
    raise UserError(f'{reason} ({os.strerror(error.errno)})') from error
  with server:
    while len(lines) < place.count - 1:
      server.settimeout(max(0.01, deadline - time.monotonic()))
      try:
        connection, address = server.accept()
      except TimeoutError:
        break
      line = Connection(connection, address[0], _PATIENCE)
      try:
        said = line.hear()
      except OSError:
        said = {}
      if not fingerprint.is_fingerprint(said):
        line.close()  # somebody else's
        continue
      index = said['index']
      line.peer = f'process {index} on {said["host"]}'
      if fault := _misplaced(said, {0: about, **others}):
        faults.append(fault)
        # What else is wrong shows soon, or not at all.
        deadline = min(deadline, time.monotonic() + _PATIENCE / 2)
        index = -1 - len(lines)  # what else is wrong with it is named, too
      others[index] = said
      lines.append(line)
  absent = [str(i) for i in range(1, place.count) if i not in others]
  if absent and not faults:
    faults = [
      f'of {place.count} processes, {", ".join(errors.shorten(absent))} did '
      f'not come to {place.address} within {timeout:g} s{_hint(place)}'
    ]
  return lines, others, faults


def _misplaced(said: dict, known: dict[int, dict]) -> str:
  """What is wrong with the number or the count of one that has come."""
  index, host, zero = said['index'], said['host'], known[0]
  if said['count'] != zero['count']:
    return (
      f'process {index} on {host} counts {said["count"]} processes, process 0 '
      f'on {zero["host"]} counts {zero["count"]}: --num_processes'
    )
  if index in known:
    return (
      f'processes on {known[index]["host"]} and on {host} both say that they '
      f'are number {index}: --process_id'
    )
  return ''


def _not_shared(workdir: str, lines: list[Connection]) -> list[str]:
  """A fault for each process that does not see what is written in workdir."""
  faults = []
  # That it cannot be written is found, and said, by process 0.
  with (
    contextlib.suppress(OSError),
    files.temporary_folder(workdir) as folder,
    tempfile.NamedTemporaryFile(prefix='.roll_call-', dir=folder) as token,
  ):
    for line in lines:
      with contextlib.suppress(OSError):
        line.say(token=token.name)
        if not line.hear().get('sees'):
          faults.append(
            f'--workdir={workdir} is not shared: {line.peer} does not see what '
            f'process 0 on {platform.node()} writes there'
          )
  return faults


def _answer(place, about, workdir, deadline, timeout) -> Connection:
  """The line to process 0, which found that all is well."""
  line = _connect(place, deadline, timeout)
  try:
    line.say(**about)
    # The others may take until then.
    verdict = line.hear()
    if token := verdict.get('token'):
      # Its name comes from outside: only one in the workdir is looked for.
      token = os.path.join(workdir, os.path.basename(token))
      line.say(sees=_appears(token))
      verdict = line.hear()
    faults = verdict['faults']
  except (OSError, KeyError) as error:
    line.close()
    raise UserError(
      f'process 0 at {place.address} has ended, or is no process of this '
      'program; see what it says'
    ) from error
  if faults:
    line.close()
    raise UserError(*faults)
  return line


def _appears(path: str) -> bool:
  """Whether a file is there; a file system of many hosts may take a moment."""
  patience = time.monotonic() + _PATIENCE / 2
  while not os.path.exists(path):
    if time.monotonic() > patience:
      return False
    time.sleep(_RETRY)
  return True


def _connect(place: ProcessInfo, deadline: float, timeout: float) -> Connection:
  while True:
    left = deadline - time.monotonic()
    try:
      connection = socket.create_connection(
        (place.host, place.port), timeout=max(_RETRY, left)
      )
      # It answers when all have come, or not in time.
      peer = f'process 0 at {place.address}'
      return Connection(connection, peer, max(0.0, left) + 2 * _PATIENCE)
    except OSError as error:
      if left <= 0:
        raise UserError(
          f'process {place.index} found no process 0 at {place.address} within '
          f'{timeout:g} s ({error.strerror or error}); does it run there, and '
          f'is the port open?{_hint(place)}'
        ) from error
    time.sleep(_RETRY)


def _hint(place: ProcessInfo) -> str:
  """What may be wrong with the address."""
  with contextlib.suppress(OSError):
    found = socket.getaddrinfo(place.host, place.port)
    if all(x[4][0].startswith('127.') or x[4][0] == '::1' for x in found):
      return (
        f'; {place.host} is each host itself: if there are others, name the '
        'host of process 0 by --coordinator_address'
      )
  return ''
