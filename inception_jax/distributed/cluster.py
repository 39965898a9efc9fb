"""Detection of the cluster: this process's index, and the coordinator."""

import dataclasses
import os

from inception_jax.errors import UserError

# Process counts of Slurm and Open MPI. jax would give a single process only one
# of its devices.
_COUNTS = ('SLURM_NTASKS', 'OMPI_COMM_WORLD_SIZE')


@dataclasses.dataclass(frozen=True)
class ProcessInfo:
  """One of several processes."""

  address: str  # HOST:PORT of the coordinator, process 0
  count: int  # of the processes
  index: int  # of this process
  local_devices: tuple[int, ...] | None = None  # on its host; None: all

  @property
  def host(self) -> str:
    """The coordinator's host, without the brackets of IPv6."""
    return self.address.rpartition(':')[0].strip('[]')

  @property
  def port(self) -> int:
    """The coordinator's port."""
    return int(self.address.rpartition(':')[2])


def detect(
  coordinator_address: str, num_processes: int | None, process_id: int | None
) -> ProcessInfo | None:
  """Returns this process's info, or None if there is only one process.

  Without arguments ('', None, None) it comes from the environment: jax detects
  TPU VMs, GKE, Slurm and Open MPI.

  Raises:
    UserError: only some arguments are given, they are invalid, or the
      environment of the detected cluster is incomplete.
  """
  given = {
    '--coordinator_address': coordinator_address or None,
    '--num_processes': num_processes,
    '--process_id': process_id,
  }
  if any(value is not None for value in given.values()):
    if faults := _check(given):
      raise UserError(*faults)
  elif any(os.environ.get(name) == '1' for name in _COUNTS):
    return None
  # Private: jax.distributed.initialize calls it too, but connects at once.
  from jax._src.clusters import ClusterEnv

  try:
    address, count, index, devices = (
      ClusterEnv.auto_detect_unset_distributed_params(
        *given.values(), None, None, initialization_timeout=None
      )
    )
  except Exception as error:  # each kind of cluster raises its own
    reason = ' '.join(str(error).split())
    raise UserError(
      f'the coordinator of this cluster cannot be detected ({reason}); give '
      + ', '.join(given)
    ) from error
  if address is None or count == 1:
    return None
  return ProcessInfo(address, count, index, devices and tuple(devices))


def _check(given: dict) -> list[str]:
  """Returns the faults of the flags."""
  missing = [name for name, value in given.items() if value is None]
  if missing:
    return [f'{name} is missing: each process needs it' for name in missing]
  address, count, index = given.values()
  faults = []
  host, _, port = address.rpartition(':')
  if not host or not (port.isdecimal() and 0 < int(port) < 2**16):
    faults.append(
      f'--coordinator_address={address}: expected HOST:PORT of process 0'
    )
  if count < 1:
    faults.append(f'--num_processes={count}: expected at least 1')
  elif not 0 <= index < count:
    faults.append(f'--process_id={index}: expected 0 to {count - 1}')
  return faults
