"""Batches that fit in the memory of chips."""

import logging

from inception_jax.aot import chips
from inception_jax.aot import compile_step
from inception_jax.errors import UserError

log = logging.getLogger(__name__)

# Of a chip's memory; libtpu keeps the rest for itself.
_USABLE = 0.975


def largest(
  config, devices, step: str, chip: chips.Chip, first: compile_step.Compiled
) -> int:
  """The largest batch that fits in the chips' memory, nearly.

  What memory a step takes grows evenly with its batch: half of `first` is
  compiled, the line through both is followed up to the memory's end, and the
  batch there compiled, too. Where that does not fit, 5 % less is tried next.

  Args:
    config: the whole config, checked.
    devices: of the topology.
    step: 'train' or 'eval'.
    chip: what they are.
    first: the step compiled with a batch that fits.
  """
  unit = len(devices) * config.gradient_accumulation
  config = config.copy_and_resolve_references()

  def attempt(batch: int) -> compile_step.Compiled:
    config.batch_size = batch
    return compile_step.compiled(config, devices, step)

  half = max(1, first.images // 2 // unit) * unit
  if half == first.images:
    half *= 2
  log.info('a line through two batches, then one or more compiles to see')
  try:
    other = attempt(half)
  except compile_step.TooLarge:
    return first.images
  grows = (first.peak_bytes - other.peak_bytes) / (first.images - half)
  room = _USABLE * chip.hbm_bytes - first.peak_bytes
  if grows <= 0:
    raise UserError(
      f'--largest_batch: {first.images} images take no more memory than {half};'
      ' begin with a larger --config.batch_size'
    )
  batch = int(first.images + room / grows) // unit * unit
  while batch > first.images:
    try:
      return attempt(batch).images
    except compile_step.TooLarge as error:
      log.info('%d images do not fit: %s', batch, error)
      batch = min(batch - unit, int(0.95 * batch) // unit * unit)
  return first.images


def smaller(config, num_devices: int, times: float) -> int:
  """A batch for `times` less memory, which devices and parts can share."""
  unit = num_devices * config.gradient_accumulation
  batch = config.batch_size / max(times, 1.05)
  return max(1, int(batch / unit)) * unit
