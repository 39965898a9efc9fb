"""Joins several processes, on one or more hosts, into one run."""

import contextlib
import hashlib
import json
import platform
from typing import Any

import jax
from jax.experimental import multihost_utils
import numpy as np

from inception_jax.distributed import liveness
from inception_jax.distributed import rendezvous
from inception_jax.distributed.cluster import ProcessInfo
from inception_jax.errors import shorten

_CONNECT_TIMEOUT = 50  # seconds
# Less than the two minutes in which the other processes must notice a failure.
_HEARTBEAT_TIMEOUT = 60


@contextlib.contextmanager
def connected(
  process: ProcessInfo | None, config, workdir: str, timeout: float
):
  """Connects all processes for the duration of the block.

  Must be entered before any device is used. `process` is as returned by
  `cluster.detect`, the others are as for `rendezvous.meet`.

  Raises:
    UserError: a process did not connect in time, or the processes differ in
      config, code or versions, or do not share the workdir.
  """
  if process is None:
    yield
    return
  connections = rendezvous.meet(process, config, workdir, timeout)
  name = f'process {process.index} on {platform.node()}'
  with liveness.watch_peers(name, connections, is_primary=not process.index):
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
      heartbeat_timeout_seconds=_HEARTBEAT_TIMEOUT,
    )
    yield


def check_equal(facts: dict[str, Any]) -> None:
  """Raises a UserError if a process has other values than process 0.

  `facts` are JSON values by description, with the same keys in each process.
  """
  if jax.process_count() == 1:
    return
  values = [json.dumps(value).encode() for value in facts.values()]
  digests = [hashlib.sha256(value).digest() for value in values]
  local = np.array([list(digest) for digest in digests], np.uint8)
  gathered = multihost_utils.process_allgather(local)  # [processes, facts, 32]
  equal = np.all(gathered == gathered[0], axis=2)
  if faults := [
    f'process {i} has other {name} than process 0: do they see the same files?'
    for i, row in enumerate(equal)
    for name, matches in zip(facts, row, strict=True)
    if not matches
  ]:
    raise liveness.SharedUserError(*shorten(faults))
