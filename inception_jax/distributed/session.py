"""Joins several processes, on one or more hosts, into one run."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import hashlib
import json
import platform
from typing import Any

import jax
from jax.experimental import multihost_utils
import numpy as np

from inception_jax import errors
from inception_jax.buckets import bucket
from inception_jax.buckets import runs
from inception_jax.distributed import liveness
from inception_jax.distributed import rendezvous
from inception_jax.distributed.cluster import ProcessInfo
from inception_jax.runtime.process import delay_abort

_CONNECT_TIMEOUT = 50  # seconds
# Seconds, a day: `liveness` notices failures, where jax would abort, even after
# the whole run was suspended for a while; and process 0 may save for long.
_NO_TIMEOUT = 24 * 3600
_MAX_HOST = 64  # bytes of a host's name, the limit of Linux
# Waits for all processes within `connected`; see `liveness.watch_peers`.
_meet: Callable[[], None] = lambda: None


@contextlib.contextmanager
def connected(
  process: ProcessInfo | None, config, workdir: str, timeout: float
):
  """Connects all processes for the duration of the block.

  Must be entered before any device is used. `process` is as returned by
  `cluster.detect`, the others are as for `rendezvous.meet`.

  Raises:
    ProcessLost: a process did not connect in time.
    UserError: the processes differ in config, code or versions, or do not share
      the workdir.
  """
  if process is None:
    yield
    return
  connections = rendezvous.meet(process, config, workdir, timeout)
  name = f'process {process.index} on {platform.node()}'
  delay_abort()
  with (
    liveness.watch_peers(
      name, connections, is_primary=not process.index
    ) as meet,
    _meeting_by(meet),
  ):
    # Its SIGTERM handler would replace the one of `preemption`.
    jax.config.update('jax_enable_preemption_service', False)
    # Only after all checks, since it aborts the process on any failure.
    jax.distributed.initialize(
      process.address,
      process.count,
      process.index,
      local_device_ids=process.local_devices,
      cluster_detection_method='deactivate',
      initialization_timeout=_CONNECT_TIMEOUT,
      heartbeat_timeout_seconds=_NO_TIMEOUT,
      shutdown_timeout_seconds=_NO_TIMEOUT,
    )
    try:
      yield
    except liveness.TOGETHER:
      jax.distributed.shutdown()
      raise
    # Here, since each process waits for all others: `liveness` still watches.
    jax.distributed.shutdown()


@contextlib.contextmanager
def _meeting_by(meet: Callable[[], None]):
  global _meet
  before, _meet = _meet, meet
  try:
    yield
  finally:
    _meet = before


@contextlib.contextmanager
def local_workdir(workdir: str) -> Iterator[str]:
  """Yields the local folder of a run that may be in a bucket, to train in it.

  That of process 0 is written to the bucket; the others read from there.

  Raises:
    UserError: another training uses it, or the bucket cannot be used.
    RunError: at the end, the bucket cannot be written.
  """
  if not bucket.is_url(workdir):
    yield workdir
    return
  with contextlib.ExitStack() as stack:
    path = from_primary(lambda: stack.enter_context(runs.training(workdir)))
    yield path if jax.process_index() == 0 else runs.local(workdir)


def meet() -> None:
  """Waits for all processes, however long one takes.

  Called before a collective that follows what hosts take different times for,
  such as listing data, reading a checkpoint or compiling.
  """
  _meet()


def check_equal(facts: dict[str, Any]) -> None:
  """Raises a UserError that names each process that differs from process 0.

  `facts` are JSON values by description, with the same keys in each process.
  """
  if jax.process_count() == 1:
    return
  values = [json.dumps(value).encode() for value in facts.values()]
  digests = [hashlib.sha256(value).digest() for value in values]
  host = platform.node().encode()[:_MAX_HOST].ljust(_MAX_HOST, b'\0')
  local = np.frombuffer(b''.join([host, *digests]), np.uint8)
  meet()
  gathered = multihost_utils.process_allgather(local)
  hosts = [
    errors.one_line(
      bytes(row[:_MAX_HOST]).rstrip(b'\0').decode(errors='replace')
    )
    for row in gathered
  ]
  found = gathered[:, _MAX_HOST:].reshape(len(hosts), len(facts), -1)
  if faults := [
    f'process {i} on {hosts[i]} has other {name} than process 0 on {hosts[0]}: '
    'do they see the same files?'
    for i, row in enumerate(np.all(found == found[0], axis=2))
    for name, matches in zip(facts, row, strict=True)
    if not matches
  ]:
    raise liveness.SharedUserError(*errors.shorten(faults))


def from_primary(make: Callable[[], Any]) -> Any:
  """Returns in every process the JSON value that `make` returns in process 0.

  Every process must call this, and waits for process 0, which alone calls
  `make`. It lets process 0 look at a folder, or change it, for all, and take
  its time: to download a run, or to wait for the lock of a lost host.
  """
  if jax.process_count() == 1:
    return make()
  text = json.dumps(make()).encode() if jax.process_index() == 0 else b''
  meet()
  size = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
  text = np.frombuffer(text or bytes(size), np.uint8)
  return json.loads(multihost_utils.broadcast_one_to_all(text).tobytes())
