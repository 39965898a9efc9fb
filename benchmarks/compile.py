"""The training step beside plain flax's, for TPUs that are not there."""

from importlib.metadata import version
import logging

import jax

from benchmarks.peers import plain_flax
from inception_jax.aot import chips
from inception_jax.aot import compile_step
from inception_jax.distributed import sharding
from inception_jax.errors import UserError

log = logging.getLogger(__name__)


def measure(config, topology: str) -> dict:
  """Both, each compiled once, one after the other.

  Args:
    config: the whole config.
    topology: as `chips.check` has it.

  Returns:
    Ours over theirs, less is better: 'times_step_ms', of the cycles that the
    compiler estimates, 'times_hbm_bytes', 'times_peak_bytes' and
    'times_compile_seconds'; and each of both.

  Raises:
    UserError: no libtpu; a faulty config or topology, or a config that plain
      flax's step does not know; a step that does not fit in a chip's memory.
  """
  faults = plain_flax.check(config)
  try:
    config = compile_step.checked(config, topology, 'train')
  except UserError as error:
    faults += error.faults
  if faults:
    raise UserError(*faults)
  kind, shape = chips.parse(topology)
  devices, chip = chips.devices(topology), chips.CHIPS[kind]
  # What is in the cache takes no time to compile.
  jax.config.update('jax_enable_compilation_cache', False)
  flops = compile_step.flops_per_image(config, 'train')
  mesh = sharding.make_mesh(devices)
  number = config.model.num_classes or compile_step.CLASSES
  log.info('compiling plain flax; a full network takes minutes')
  try:
    plain = plain_flax.lower(config, mesh, number)
    sides = {
      'theirs': compile_step.finished(plain, config.batch_size, mesh.size),
      'ours': compile_step.compiled(config, devices, 'train'),
    }
  except compile_step.TooLarge as error:
    raise UserError(
      f'batch_size={config.batch_size} does not fit in the memory of '
      f'{topology}: {error}'
    ) from error
  figures = {
    side: compile_step.measure(step, flops, chip, shape)
    for side, step in sides.items()
  }
  keys = {
    'step_ms': 'estimated_step_ms',
    'hbm_bytes': 'hbm_bytes_per_image',
    'peak_bytes': 'peak_hbm_bytes',
    'compile_seconds': 'compile_seconds',
  }
  # Only compilers for TPUs estimate cycles.
  ratio = lambda a, b: round(a / b, 3) if b else None
  return {
    **{
      f'times_{name}': ratio(figures['ours'][key], figures['theirs'][key])
      for name, key in keys.items()
    },
    **{
      f'{side}_{name}': values[key]
      for side, values in figures.items()
      for name, key in keys.items()
    },
    'network': config.model.name,
    'topology': topology,
    'batch_norm': config.batch_norm,
    'remat': config.remat,
    'precision': config.precision,
    'batch_size': config.batch_size,
    'versions': {name: version(name) for name in ('jax', 'flax', 'libtpu')},
  }
