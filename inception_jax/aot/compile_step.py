"""A step compiled for devices that are not there, and what is read from it."""

import dataclasses
import logging
import re
import time
from typing import Any

import jax

from inception_jax.aot import chips
from inception_jax.aot import hlo_costs
from inception_jax.aot.hlo_text import Text
from inception_jax.config import durations
from inception_jax.data import pipeline
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluator
from inception_jax.models import factory
from inception_jax.runtime import progress_bar
from inception_jax.training import preflight
from inception_jax.training import schedules
from inception_jax.training.trainer import Trainer

log = logging.getLogger(__name__)

# Of ImageNet. Another set of images makes the same program, but for the width
# of its logits and the constants of its schedule.
CLASSES = 1000

_IMAGES = 1_281_167

_SLOWEST = 10

# 'Used 20.52G of 15.75G hbm', and other ways to say that.
_SIZES = re.compile(r'([\d.]+)([KMGT])\b')


@dataclasses.dataclass(frozen=True)
class Compiled:
  """A compiled step.

  Attributes:
    program: XLA's.
    seconds: that compiling it took, without tracing and lowering it.
    images: of the global batch.
    devices: that share them.
  """

  program: Any
  seconds: float
  images: int
  devices: int

  @property
  def peak_bytes(self) -> int:
    """The most that a device's memory holds: arguments, program and all."""
    memory = self.program.memory_analysis()
    return (
      memory.argument_size_in_bytes
      + memory.output_size_in_bytes
      - memory.alias_size_in_bytes
      + memory.temp_size_in_bytes
      + memory.generated_code_size_in_bytes
    )


class TooLarge(Exception):
  """It does not fit in the memory of a device.

  Attributes:
    times: what it needs over what there is; 1.0 if the compiler does not say.
  """

  def __init__(self, says: str):
    super().__init__(says.splitlines()[0])
    sizes = [
      float(number) * 1024.0 ** ' KMGT'.index(unit)
      for number, unit in _SIZES.findall(says)
    ]
    self.times = sizes[0] / sizes[1] if len(sizes) > 1 else 1.0


def checked(config, topology: str, step: str):
  """The resolved config.

  Raises:
    UserError: whatever is wrong with it, or with the topology; no libtpu.
  """
  config = factory.resolve(config)
  # No image is read: any source will do.
  config.data.source = 'synthetic'
  config.data.train_split = config.data.eval_split = 'test'
  faults = chips.check(topology)
  if step == 'train' and not faults:
    _, shape = chips.parse(topology)
    faults += preflight.of_batch(config, chips.size(shape))
  faults += preflight.of_config(config) + chips.missing()
  if faults:
    raise UserError(*faults)
  return config


def compiled(config, devices, step: str) -> Compiled:
  """Compiles the step of a checked config.

  Args:
    config: the whole config, resolved.
    devices: any, of a topology too.
    step: 'train', the step that trainings run, or 'eval', the forward pass of
      an evaluation, whose batch is rounded up to what the devices can share.

  Raises:
    TooLarge: it does not fit in the memory of a device.
  """
  mesh = sharding.make_mesh(devices)
  if step == 'eval':
    config = config.copy_and_resolve_references()
    config.batch_size = sharding.round_up(config.batch_size, mesh)
  log.info(
    'compiling the %s step of %s for %d × %s, %d images; a full network takes '
    'minutes',
    step,
    config.model.name,
    mesh.size,
    mesh.devices.flat[0].device_kind,
    config.batch_size,
  )
  return finished(_lowered(config, mesh, step), config.batch_size, mesh.size)


def finished(lowered, images: int, devices: int) -> Compiled:
  """Compiles what was lowered.

  Args:
    lowered: a jitted function, lowered.
    images: of the global batch.
    devices: that share them.

  Raises:
    TooLarge: it does not fit in the memory of a device.
  """
  begin = time.perf_counter()
  try:
    program = lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    raise TooLarge(str(error)) from error
  seconds = time.perf_counter() - begin
  log.info('compiled in %s', progress_bar.format_duration(seconds))
  return Compiled(program, seconds, images, devices)


def _lowered(config, mesh, step: str, platforms=None):
  """The step, lowered for the devices of a mesh."""
  plan = durations.plan(config, _IMAGES)
  number = config.model.num_classes or CLASSES
  trainer = Trainer(config, mesh, number, schedules.make_schedule(config, plan))
  if step == 'train':
    return trainer.lower(platforms)
  images = pipeline.train_batch_spec(config)['image']
  traced = evaluator.jit_forward(config, trainer.model, mesh).trace(
    trainer.abstract.variables(ema=False),
    jax.ShapeDtypeStruct(images.shape, images.dtype),
  )
  return traced.lower(lowering_platforms=platforms)


def flops_per_image(config, step: str) -> float:
  """What the step computes, as it is written.

  A compiled program's own count would have the optimizer once for each device,
  and of a loop a single pass.
  """
  config = config.copy_and_resolve_references()
  config.gradient_accumulation = 1
  mesh = sharding.make_mesh(jax.devices('cpu')[:1])
  # CPUs have convolutions of their own, with zeros to multiply by.
  counted = _lowered(config, mesh, step, ('tpu',)).cost_analysis()
  return counted['flops'] / config.batch_size


def measure(
  step: Compiled, flops: float, chip: chips.Chip, shape: tuple[int, ...]
) -> dict[str, Any]:
  """What a compiled step costs.

  Args:
    step: the step.
    flops: of an image.
    chip: that it was compiled for.
    shape: how those lie.

  Returns:
    Of an image: 'flops_per_image' and 'hbm_bytes_per_image'. Of a step, by the
    cycles that the compiler estimates: 'estimated_step_ms', 'estimated_mfu',
    the share of the bfloat16 peak, and the 'slowest' operations. What these
    leave out: 'not_estimated'; 'hbm_ms', all of its traffic at the memory's
    full rate; 'exchange_ms', its 'collectives' at the links'. 'efficiency' by
    the number of chips is `chips.efficiency`'s. Of a chip's memory,
    'peak_hbm_bytes' and their share, 'hbm_share'.
  """
  text = Text(step.program.as_text())
  seconds = hlo_costs.cycles(text) / chip.clock
  exchanged = hlo_costs.collectives(text)
  moved = hlo_costs.hbm_bytes(text)
  slowest = list(hlo_costs.layers(text).items())[:_SLOWEST]
  ratio = lambda a, b: round(a / b, 4) if b else None
  return {
    'devices': step.devices,
    'flops_per_image': flops,
    'hbm_bytes_per_image': moved * step.devices / step.images,
    'estimated_step_ms': round(1e3 * seconds, 3),
    'estimated_mfu': ratio(
      flops * step.images / step.devices, seconds * chip.peak
    ),
    'not_estimated': hlo_costs.without_estimate(text),
    'hbm_ms': round(1e3 * moved / chip.hbm_rate, 3),
    'exchange_ms': round(
      1e3 * chips.exchange_seconds(chip, shape, exchanged), 3
    ),
    'efficiency': chips.efficiency(chip, seconds, exchanged),
    'peak_hbm_bytes': step.peak_bytes,
    'hbm_share': ratio(step.peak_bytes, chip.hbm_bytes),
    'collectives': exchanged,
    'compile_seconds': round(step.seconds, 1),
    'slowest': [
      {
        'layer': layer,
        'operation': operation,
        'pass': way,
        'ms': round(1e3 * cycles / chip.clock, 4),
        'share': ratio(cycles / chip.clock, seconds),
      }
      for (layer, operation, way), cycles in slowest
    ],
  }
