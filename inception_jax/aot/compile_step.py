"""Compiles a step ahead of time, and estimates its memory, time and traffic."""

import dataclasses
import logging
import math
import re
import time
from typing import Any

import jax

from inception_jax.aot import chips
from inception_jax.aot import hlo_costs
from inception_jax.aot.hlo_text import Program
from inception_jax.config import durations
from inception_jax.data import pipeline
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.evaluation import members
from inception_jax.models import factory
from inception_jax.runtime import progress_bar
from inception_jax.training import preflight
from inception_jax.training import schedules
from inception_jax.training.trainer import Trainer

log = logging.getLogger(__name__)

# ImageNet's. Another dataset changes only the number of logits and the
# schedule's constants in the compiled program.
CLASSES = 1000
_IMAGES = 1_281_167
_SLOWEST = 10
# Matches both sizes of 'Used 20.52G of 15.75G hbm' and of similar messages.
_SIZES = re.compile(r'([\d.]+)([KMGT])\b')


@dataclasses.dataclass(frozen=True)
class CompiledStep:
  """A step compiled for `num_devices`, with a global batch of `batch_size`.

  `seconds` is the compile time, without tracing and lowering.
  """

  executable: Any
  seconds: float
  batch_size: int
  num_devices: int

  @property
  def peak_bytes(self) -> int:
    """Peak memory per device: arguments, results, temporaries and program."""
    memory = self.executable.memory_analysis()
    return (
      memory.argument_size_in_bytes
      + memory.output_size_in_bytes
      - memory.alias_size_in_bytes
      + memory.temp_size_in_bytes
      + memory.generated_code_size_in_bytes
    )


class OutOfMemory(Exception):
  """A step does not fit in a device's memory.

  Attributes:
    ratio: required over available memory; 1.0 if the compiler reports neither.
  """

  def __init__(self, message: str):
    super().__init__(message.splitlines()[0])
    sizes = [
      float(number) * 1024.0 ** ' KMGT'.index(unit)
      for number, unit in _SIZES.findall(message)
    ]
    self.ratio = sizes[0] / sizes[1] if len(sizes) > 1 else 1.0


def resolve(config, topology: str, step: str):
  """Returns the resolved config, after checking that it can be compiled.

  Raises:
    UserError: every fault of the config and the topology; libtpu is missing.
  """
  config = factory.resolve(config)
  # No image is read, so that no dataset is needed.
  config.data.source = 'synthetic'
  config.data.train_split = config.data.eval_split = 'test'
  faults = chips.topology_faults(topology)
  if step == 'train' and not faults:
    _, shape = chips.parse_topology(topology)
    faults += preflight.of_batch(config, math.prod(shape))
  faults += preflight.of_config(config) + chips.libtpu_faults()
  if faults:
    raise UserError(*faults)
  return config


def compile_config(config, devices, step: str) -> CompiledStep:
  """Compiles a step of a resolved config for attached or topology devices.

  `step` is 'train', the step that training runs, or 'eval', the forward pass of
  an evaluation, whose batch is rounded up to a multiple of the device count.

  Raises:
    OutOfMemory: the step does not fit in a device's memory.
  """
  mesh = sharding.make_mesh(devices)
  if step == 'eval':
    config = config.copy_and_resolve_references()
    config.batch_size = sharding.round_up(config.batch_size, mesh)
  log.info(
    'compiling the %s step of %s for %d × %s, batch size %d; a full network '
    'takes minutes',
    step,
    config.model.name,
    mesh.size,
    mesh.devices.flat[0].device_kind,
    config.batch_size,
  )
  lowered = _lower(config, mesh, step)
  return compile_lowered(lowered, config.batch_size, mesh.size)


def compile_lowered(lowered, batch_size: int, num_devices: int) -> CompiledStep:
  """Compiles a lowered step.

  Raises:
    OutOfMemory: the step does not fit in a device's memory.
  """
  begin = time.perf_counter()
  try:
    executable = lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    raise OutOfMemory(str(error)) from error
  seconds = time.perf_counter() - begin
  log.info('compiled in %s', progress_bar.format_duration(seconds))
  return CompiledStep(executable, seconds, batch_size, num_devices)


def _lower(config, mesh, step: str, platforms=None):
  plan = durations.plan(config, _IMAGES)
  number = config.model.num_classes or CLASSES
  rate = schedules.make_schedule(config.schedule, config.batch_size, plan)
  trainer = Trainer(config, mesh, number, rate)
  if step == 'train':
    return trainer.lower(platforms)
  images = pipeline.train_batch_spec(config)['image']
  traced = members.jit_forward(config, trainer.model, mesh).trace(
    trainer.abstract.variables(ema=False),
    jax.ShapeDtypeStruct(images.shape, images.dtype),
  )
  return traced.lower(lowering_platforms=platforms)


def flops_per_image(config, step: str) -> float:
  """Returns the FLOPs per image of the step before optimization by XLA.

  A compiled program's own count would include the optimizer once per device,
  and each loop body only once.
  """
  config = config.copy_and_resolve_references()
  config.gradient_accumulation = 1
  mesh = sharding.make_mesh(jax.devices('cpu')[:1])
  # The kernels for CPUs also multiply zeros.
  cost = _lower(config, mesh, step, ('tpu',)).cost_analysis()
  return cost['flops'] / config.batch_size


def analyze(
  step: CompiledStep, flops: float, chip: chips.Chip, shape: tuple[int, ...]
) -> dict[str, Any]:
  """Returns the estimated cost of a step compiled for a slice of this shape.

  Per image: 'flops_per_image' (`flops`) and 'hbm_bytes_per_image'. Per step,
  from the compiler's cycle estimates: 'estimated_step_ms', 'estimated_mfu'
  (fraction of the bfloat16 peak) and the 'slowest' operations. Not part of
  these estimates: the operations in 'not_estimated'; 'hbm_ms', all HBM traffic
  at full bandwidth; 'exchange_ms', all 'collectives' at full link bandwidth.
  'efficiency': see `chips.scaling_efficiency`. Per chip: 'peak_hbm_bytes', and
  'hbm_share', their fraction of the memory.
  """
  program = Program(step.executable.as_text())
  seconds = hlo_costs.estimated_cycles(program) / chip.clock_hz
  collectives = hlo_costs.collectives(program)
  hbm_bytes = hlo_costs.hbm_bytes(program)
  slowest = list(hlo_costs.cycles_by_layer(program).items())[:_SLOWEST]
  ratio = lambda a, b: round(a / b, 4) if b else None
  return {
    'devices': step.num_devices,
    'flops_per_image': flops,
    'hbm_bytes_per_image': hbm_bytes * step.num_devices / step.batch_size,
    'estimated_step_ms': round(1e3 * seconds, 3),
    'estimated_mfu': ratio(
      flops * step.batch_size / step.num_devices, seconds * chip.peak_flops
    ),
    'not_estimated': hlo_costs.without_estimate(program),
    'hbm_ms': round(1e3 * hbm_bytes / chip.hbm_bandwidth, 3),
    'exchange_ms': round(
      1e3 * chips.collective_seconds(chip, shape, collectives), 3
    ),
    'efficiency': chips.scaling_efficiency(chip, seconds, collectives),
    'peak_hbm_bytes': step.peak_bytes,
    'hbm_share': ratio(step.peak_bytes, chip.hbm_bytes),
    'collectives': collectives,
    'compile_seconds': round(step.seconds, 1),
    'slowest': [
      {
        'layer': layer,
        'operation': operation,
        'pass': direction,
        'ms': round(1e3 * cycles / chip.clock_hz, 4),
        'share': ratio(cycles / chip.clock_hz, seconds),
      }
      for (layer, operation, direction), cycles in slowest
    ],
  }
