"""Which of several processes this is, and where they meet."""

import dataclasses
import os

from inception_jax.errors import UserError

# Of Slurm and Open MPI; jax would give a process that is alone one device.
_COUNTS = ('SLURM_NTASKS', 'OMPI_COMM_WORLD_SIZE')


@dataclasses.dataclass(frozen=True)
class ProcessInfo:
  """Of one process among others.

  Attributes:
    address: HOST:PORT of process 0, where all meet.
    count: how many there are.
    index: which of them this is.
    local_devices: which of its host's devices are its own; None: all.
  """

  address: str
  count: int
  index: int
  local_devices: tuple[int, ...] | None = None

  @property
  def host(self) -> str:
    """Of `address`, without the brackets of IPv6."""
    return self.address.rpartition(':')[0].strip('[]')

  @property
  def port(self) -> int:
    """Of `address`."""
    return int(self.address.rpartition(':')[2])


def detect(
  coordinator_address: str, num_processes: int | None, process_id: int | None
) -> ProcessInfo | None:
  """The place of this process: as told, or as jax finds it.

  jax knows TPU virtual machines, GKE, Slurm and Open MPI.

  Args:
    coordinator_address: HOST:PORT of process 0, or ''.
    num_processes: how many there are, or None.
    process_id: which of them this is, or None.

  Returns:
    None where it is the only one.

  Raises:
    UserError: only some of these are given, they are impossible, or the
      cluster that this seems to be does not tell them.
  """
  told = {
    '--coordinator_address': coordinator_address or None,
    '--num_processes': num_processes,
    '--process_id': process_id,
  }
  if any(value is not None for value in told.values()):
    if faults := _check(told):
      raise UserError(*faults)
  elif any(os.environ.get(name) == '1' for name in _COUNTS):
    return None
  # jax.distributed.initialize asks the same, and goes on to connect at once.
  from jax._src.clusters import ClusterEnv

  try:
    address, count, index, devices = (
      ClusterEnv.auto_detect_unset_distributed_params(
        *told.values(), None, None, initialization_timeout=None
      )
    )
  except Exception as error:  # each kind of cluster has its own
    reason = ' '.join(str(error).split())
    raise UserError(
      f'this cluster does not tell where its processes meet ({reason}); '
      f'say it: {", ".join(told)}'
    ) from error
  if address is None or count == 1:
    return None
  return ProcessInfo(address, count, index, devices and tuple(devices))


def _check(told: dict) -> list[str]:
  """Faults of what was told."""
  missing = [name for name, value in told.items() if value is None]
  if missing:
    return [f'{name} is missing: each process needs it' for name in missing]
  address, count, index = told.values()
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
