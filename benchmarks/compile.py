"""Compares the training step with plain flax's, compiled for TPUs."""

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
  """Compiles both steps for 'KIND:SHAPE' ahead of time, without a TPU.

  Returns:
    Ratios of ours to theirs, lower is better: 'times_step_ms' (from the
    compiler's cycle estimates), 'times_hbm_bytes', 'times_peak_bytes' and
    'times_compile_seconds'; and both sides' values as 'ours_…' and 'theirs_…'.

  Raises:
    UserError: libtpu is missing; the config or the topology is invalid; the
      plain flax step does not support the config; a step does not fit in a
      chip's memory.
  """
  faults = plain_flax.check(config)
  try:
    config = compile_step.resolve(config, topology, 'train')
  except UserError as error:
    faults += error.faults
  if faults:
    raise UserError(*faults)
  kind, shape = chips.parse_topology(topology)
  devices, chip = chips.topology_devices(topology), chips.CHIPS[kind]
  # A step from the compilation cache would have no compile time.
  jax.config.update('jax_enable_compilation_cache', False)
  flops = compile_step.flops_per_image(config, 'train')
  mesh = sharding.make_mesh(devices)
  number = config.model.num_classes or compile_step.CLASSES
  log.info('compiling the plain flax step; a full network takes minutes')
  try:
    plain = plain_flax.lower(config, mesh, number)
    theirs = compile_step.compile_lowered(plain, config.batch_size, mesh.size)
    ours = compile_step.compile_config(config, devices, 'train')
  except compile_step.OutOfMemory as error:
    raise UserError(
      f'batch_size={config.batch_size} does not fit in the memory of '
      f'{topology}: {error}'
    ) from error
  figures = {
    side: compile_step.analyze(step, flops, chip, shape)
    for side, step in {'theirs': theirs, 'ours': ours}.items()
  }
  keys = {
    'step_ms': 'estimated_step_ms',
    'hbm_bytes': 'hbm_bytes_per_image',
    'peak_bytes': 'peak_hbm_bytes',
    'compile_seconds': 'compile_seconds',
  }
  # Only the TPU compiler estimates cycles; elsewhere the sum is 0.
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
