"""TPUs as published, and what an exchange between them takes on paper."""

from collections.abc import Mapping
import dataclasses
import importlib.util
import math
import os
import re

from inception_jax.errors import UserError

# One hop between neighbours: "How to Scale Your Model" (Austin et al. 2025).
HOP_SECONDS = 1e-6

_TIMES_ROUND = {'all-reduce': 2}  # scatters, then gathers; others do one


@dataclasses.dataclass(frozen=True)
class Chip:
  """A TPU's figures.

  All but the clock are cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e}. The rate of
  a link is the pod's all-reduce rate there over its chips and their links, of
  v5p the chip's rate over its links. The clock is the peak over what the
  compiler's cost model does in a cycle, 2 × 128² × MXUs; Trillium's larger
  MXUs count as four.

  Attributes:
    peak: bfloat16 FLOP/s.
    clock: cycles a second.
    hbm_bytes: of memory.
    hbm_rate: bytes/s to and from it.
    link_rate: bytes/s of one link, in one direction.
    axes: dimensions of the torus.
    ring: an axis is closed where its length is a multiple of this.
    pod: chips that links can connect.
    config: libtpu's name of both cores of a chip as one device, if it has two.
  """

  peak: float
  clock: float
  hbm_bytes: int
  hbm_rate: float
  link_rate: float
  axes: int
  ring: int
  pod: int
  config: str = ''


_GB = 2**30

CHIPS = {
  'v4': Chip(
    275e12, 1.05e9, 32 * _GB, 1.2e12, 45e9, 3, 4, 4096, config='megacore'
  ),
  'v5e': Chip(197e12, 1.5e9, 16 * _GB, 0.819e12, 50e9, 2, 16, 256),
  'v5p': Chip(459e12, 1.75e9, 95 * _GB, 2.765e12, 100e9, 3, 4, 8960),
  'v6e': Chip(918e12, 1.75e9, 32 * _GB, 1.638e12, 100e9, 2, 16, 256),
}

# Slices of 8, 64 and 256 chips, by the dimensions of the torus.
_SLICES = {
  2: ((2, 4), (8, 8), (16, 16)),
  3: ((2, 2, 2), (4, 4, 4), (4, 8, 8)),
}


def check(topology: str) -> list[str]:
  """Faults of a 'KIND:SHAPE'."""
  match = re.fullmatch(r'(\w+):(\d+(?:x\d+)*)', topology)
  if not match or match[1] not in CHIPS:
    kinds = ', '.join(CHIPS)
    return [
      f'--topology={topology}: expected KIND:SHAPE, as v5e:2x4 or v4:4x4x4; '
      f'KIND is one of {kinds}'
    ]
  kind, shape = parse(topology)
  chip = CHIPS[kind]
  if len(shape) != chip.axes or not 1 <= math.prod(shape) <= chip.pod:
    examples = ', '.join(map(name, _SLICES[chip.axes]))
    return [
      f'--topology={topology}: a slice of {kind} has {chip.axes} dimensions '
      f'and at most {chip.pod} chips, as {examples}'
    ]
  return []


def missing() -> list[str]:
  """A fault if there is no libtpu, and what installs it."""
  if importlib.util.find_spec('libtpu'):
    return []
  return [
    'libtpu, which compiles for TPUs, is not installed: `make .venv-tpu/ready` '
    'makes an environment that has it, '
    '`pip install -r requirements-tpu.txt -c constraints.txt` adds it to this'
  ]


def parse(topology: str) -> tuple[str, tuple[int, ...]]:
  """'v5e:16x16' as ('v5e', (16, 16))."""
  kind, _, shape = topology.partition(':')
  return kind, tuple(map(int, shape.split('x')))


def size(shape: tuple[int, ...]) -> int:
  """Chips of a slice."""
  return math.prod(shape)


def name(shape: tuple[int, ...]) -> str:
  """(2, 4) as '2x4'."""
  return 'x'.join(map(str, shape))


def devices(topology: str):
  """The chips of a slice that is not there, as JAX's devices.

  Raises:
    UserError: libtpu knows no such slice.
  """
  import jax
  from jax.experimental import topologies

  kind, _ = parse(topology)
  # No machine to ask what it is, and none to lock.
  os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')
  os.environ.setdefault('TPU_WORKER_HOSTNAMES', 'localhost')
  os.environ.setdefault('TPU_ACCELERATOR_TYPE', f'{kind}-8')
  os.environ.setdefault('ALLOW_MULTIPLE_LIBTPU_LOAD', '1')
  # There is no TPU to find, and looking for one takes minutes.
  jax.config.update('jax_platforms', 'cpu')
  config = CHIPS[kind].config
  options = {'chip_config_name': config} if config else {}
  try:
    found = topologies.get_topology_desc(
      platform='tpu', topology_name=topology, **options
    )
  except jax.errors.JaxRuntimeError as error:
    raise UserError(f'--topology={topology}: libtpu says: {error}') from error
  return found.devices


def exchange_seconds(
  chip: Chip, shape: tuple[int, ...], collectives: Mapping
) -> float:
  """What collectives over a whole slice take, none beside another.

  Each chip sends (n − 1)/n of the bytes, for an all-reduce twice, over all its
  links at their published rate: two an axis where that is a ring, and else
  one, which is what the chips at its end have. To this comes, for each, the
  way to the farthest chip and back at `HOP_SECONDS` a hop.

  Args:
    chip: its links.
    shape: of the slice.
    collectives: {kind: {'count', 'bytes'}} of a chip.
  """
  axes = [n for n in shape if n > 1]
  size = math.prod(axes)
  if size == 1:
    return 0.0
  rings = [_is_ring(chip, shape, n) for n in axes]
  links = sum(2 if ring else 1 for ring in rings)
  hops = sum(
    n // 2 if ring else n - 1 for n, ring in zip(axes, rings, strict=True)
  )
  seconds = 0.0
  for kind, found in collectives.items():
    sent = _TIMES_ROUND.get(kind, 1) * found['bytes'] * (size - 1) / size
    seconds += sent / (links * chip.link_rate)
    seconds += found['count'] * 2 * hops * HOP_SECONDS
  return seconds


def _is_ring(chip: Chip, shape: tuple[int, ...], length: int) -> bool:
  # Of three dimensions all are closed or none, since cubes are what is joined.
  joined = (length,) if chip.axes == 2 else shape
  return all(n % chip.ring == 0 for n in joined)


def efficiency(
  chip: Chip, step_seconds: float, collectives: Mapping
) -> dict[str, float]:
  """Weak scaling on paper: {chips: share of so many single chips' speed}.

  The batch of a chip stays as it is, and so does what is exchanged; nothing of
  that is taken to go on beside the computation, and links to give all they can.
  """
  return {
    str(math.prod(shape)): round(
      step_seconds
      / (step_seconds + exchange_seconds(chip, shape, collectives)),
      4,
    )
    for shape in _SLICES[chip.axes]
  }
