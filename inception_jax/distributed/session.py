"""Several processes, on as many hosts as there are, as one training."""

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

# Less than the two minutes in which the others must have noticed.
_HEARTBEAT_TIMEOUT = 60


@contextlib.contextmanager
def connected(place: ProcessInfo | None, config, workdir: str, timeout: float):
  """All processes, as long as the block lasts; alone where there is one.

  To be entered before anything touches a device.

  Args:
    place: of this one, as `find` says.
    config: the whole config.
    workdir: of the run, or '' where there is none.
    timeout: seconds to wait for all processes to come.

  Raises:
    UserError: not all came, or they do not fit together: they have another
      config, other code or versions, or do not share the workdir.
  """
  if place is None:
    yield
    return
  lines = rendezvous.meet(place, config, workdir, timeout)
  me = f'process {place.index} on {platform.node()}'
  with liveness.watch_peers(me, lines, leads=not place.index):
    _initialize(place)
    yield


def _initialize(place: ProcessInfo) -> None:
  # Its handler of SIGTERM would take the place of `preemption`'s.
  jax.config.update('jax_enable_preemption_service', False)
  # Not before all is well: of whatever goes wrong, it aborts the process.
  jax.distributed.initialize(
    place.address,
    place.count,
    place.index,
    local_device_ids=place.local_devices,
    cluster_detection_method='deactivate',
    initialization_timeout=_CONNECT_TIMEOUT,
    heartbeat_timeout_seconds=_HEARTBEAT_TIMEOUT,
  )


def check_equal(facts: dict[str, Any]) -> None:
  """Raises a UserError where a process knows otherwise than process 0.

  Args:
    facts: what JSON can say, by its name in words; the same names in each.
  """
  if jax.process_count() == 1:
    return
  sums = [
    hashlib.sha256(json.dumps(value).encode()).digest()
    for value in facts.values()
  ]
  own = np.stack([np.frombuffer(x, np.uint8) for x in sums])
  found = multihost_utils.process_allgather(own)  # [processes, facts, 32]
  same = np.all(found == found[0], axis=2)
  if faults := [
    f'process {i} has other {name} than process 0: do they see the same files?'
    for i, row in enumerate(same)
    for name, fits in zip(facts, row, strict=True)
    if not fits
  ]:
    raise liveness.SharedUserError(*shorten(faults))
