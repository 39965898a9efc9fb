"""Published figures of TPUs, and collective times derived from them."""

from collections.abc import Mapping
import dataclasses
import importlib.util
import math
import os
import re

from inception_jax.errors import UserError

# One hop between neighbours: "How to Scale Your Model" (Austin et al. 2025).
HOP_SECONDS = 1e-6
# An all-reduce sends its bytes twice: reduce-scatter, then all-gather.
_PASSES = {'all-reduce': 2}


@dataclasses.dataclass(frozen=True)
class Chip:
  """Figures of one TPU chip.

  All but the clock come from cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e}. The
  link bandwidth is the pod's all-reduce bandwidth there divided by its chips
  and their links; for v5p, the chip's bandwidth divided by its links. The clock
  is the peak divided by the FLOPs per cycle in the compiler's cost model,
  2 × 128² × MXUs; Trillium's larger MXUs count as four.

  Attributes:
    peak_flops: bfloat16 FLOP/s.
    clock_hz: cycles per second.
    hbm_bytes: memory size.
    hbm_bandwidth: bytes/s.
    link_bandwidth: bytes/s of one link, in one direction.
    torus_axes: dimensions of the torus.
    wrap_multiple: an axis wraps around if its length is a multiple of this.
    pod_size: the most chips that links can connect.
    libtpu_config: libtpu's name for a chip whose two cores are one device; ''
      for chips with one core.
  """

  peak_flops: float
  clock_hz: float
  hbm_bytes: int
  hbm_bandwidth: float
  link_bandwidth: float
  torus_axes: int
  wrap_multiple: int
  pod_size: int
  libtpu_config: str = ''


_GB = 2**30

CHIPS = {
  'v4': Chip(
    275e12, 1.05e9, 32 * _GB, 1.2e12, 45e9, 3, 4, 4096, libtpu_config='megacore'
  ),
  'v5e': Chip(197e12, 1.5e9, 16 * _GB, 0.819e12, 50e9, 2, 16, 256),
  'v5p': Chip(459e12, 1.75e9, 95 * _GB, 2.765e12, 100e9, 3, 4, 8960),
  'v6e': Chip(918e12, 1.75e9, 32 * _GB, 1.638e12, 100e9, 2, 16, 256),
}
# Slices of 8, 64 and 256 chips, by the number of torus axes.
_SLICES = {
  2: ((2, 4), (8, 8), (16, 16)),
  3: ((2, 2, 2), (4, 4, 4), (4, 8, 8)),
}


def topology_faults(topology: str) -> list[str]:
  """Returns what is wrong with a 'KIND:SHAPE' such as 'v5e:16x16'."""
  match = re.fullmatch(r'(\w+):(\d+(?:x\d+)*)', topology)
  if not match or match[1] not in CHIPS:
    kinds = ', '.join(CHIPS)
    return [
      f'--topology={topology}: expected KIND:SHAPE, such as v5e:2x4 or '
      f'v4:4x4x4; KIND is one of {kinds}'
    ]
  kind, shape = parse_topology(topology)
  chip = CHIPS[kind]
  if len(shape) != chip.torus_axes or not 0 < math.prod(shape) <= chip.pod_size:
    slices = _SLICES[chip.torus_axes]
    examples = ', '.join('x'.join(map(str, shape)) for shape in slices)
    return [
      f'--topology={topology}: a {kind} slice has {chip.torus_axes} dimensions '
      f'and at most {chip.pod_size} chips, for example {examples}'
    ]
  return []


def libtpu_faults() -> list[str]:
  """Returns how to install libtpu if it is missing."""
  if importlib.util.find_spec('libtpu'):
    return []
  return [
    'libtpu, which compiles for TPUs, is not installed: run `make '
    '.venv-tpu/ready` for a separate environment that has it, or `pip install '
    '-r requirements-tpu.txt -c constraints.txt` to add it to this one'
  ]


def parse_topology(topology: str) -> tuple[str, tuple[int, ...]]:
  """Splits 'v5e:16x16' into ('v5e', (16, 16))."""
  kind, _, shape = topology.partition(':')
  return kind, tuple(map(int, shape.split('x')))


def topology_devices(topology: str):
  """Returns JAX devices that describe a slice, to compile for.

  Raises:
    UserError: libtpu does not support the slice.
  """
  import jax
  from jax.experimental import topologies

  kind, _ = parse_topology(topology)
  # libtpu would query a TPU machine's metadata server, and lock the machine.
  os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')
  os.environ.setdefault('TPU_WORKER_HOSTNAMES', 'localhost')
  os.environ.setdefault('TPU_ACCELERATOR_TYPE', f'{kind}-8')
  os.environ.setdefault('ALLOW_MULTIPLE_LIBTPU_LOAD', '1')
  # Looking for an attached TPU takes minutes where there is none.
  jax.config.update('jax_platforms', 'cpu')
  config = CHIPS[kind].libtpu_config
  options = {'chip_config_name': config} if config else {}
  try:
    description = topologies.get_topology_desc(
      platform='tpu', topology_name=topology, **options
    )
  except jax.errors.JaxRuntimeError as error:
    raise UserError(f'--topology={topology}: libtpu failed: {error}') from error
  return description.devices


def collective_seconds(
  chip: Chip, shape: tuple[int, ...], collectives: Mapping
) -> float:
  """Returns the time of collectives over a whole slice, one after another.

  Each chip sends (n − 1)/n of the bytes (an all-reduce twice) over all its
  links at their published bandwidth: two links per axis that wraps around, else
  one, which is all that the chips at the ends have. Each collective adds the
  latency to the farthest chip and back, at `HOP_SECONDS` per hop.

  `collectives` is {kind: {'count', 'bytes'}}, per chip.
  """
  size = math.prod(shape)
  if size == 1:
    return 0.0
  wraps = [n % chip.wrap_multiple == 0 for n in shape]
  if chip.torus_axes == 3:
    # A slice is made of cubes: all of its axes wrap around, or none.
    wraps = [all(wraps)] * 3
  links = hops = 0
  for n, wrap in zip(shape, wraps, strict=True):
    if n > 1:
      links += 2 if wrap else 1
      hops += n // 2 if wrap else n - 1
  seconds = 0.0
  for kind, total in collectives.items():
    sent = _PASSES.get(kind, 1) * total['bytes'] * (size - 1) / size
    seconds += sent / (links * chip.link_bandwidth)
    seconds += total['count'] * 2 * hops * HOP_SECONDS
  return seconds


def scaling_efficiency(
  chip: Chip, step_seconds: float, collectives: Mapping
) -> dict[str, float]:
  """Returns {number of chips: estimated weak-scaling efficiency, 0 to 1}.

  The batch per chip and the bytes exchanged stay constant. Collectives are
  assumed not to overlap with computation, and links to reach their published
  bandwidth.
  """
  result = {}
  for shape in _SLICES[chip.torus_axes]:
    total = step_seconds + collective_seconds(chip, shape, collectives)
    result[str(math.prod(shape))] = round(step_seconds / total, 4)
  return result
