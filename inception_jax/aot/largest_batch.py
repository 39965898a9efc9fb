"""Finds batch sizes that fit in the memory of chips."""

import logging

from inception_jax.aot import chips
from inception_jax.aot import compile_step
from inception_jax.errors import UserError

log = logging.getLogger(__name__)

# Fraction of a chip's memory; libtpu reserves the rest.
_USABLE = 0.975


def find(
  config, devices, step: str, chip: chips.Chip, first: compile_step.CompiledStep
) -> int:
  """Returns approximately the largest batch size that fits in memory.

  Memory grows about linearly with the batch. The step is compiled with half the
  batch of `first`, the line through both is extrapolated to the memory's limit,
  and the step is compiled with the batch size found there. Until that fits, the
  batch size is reduced by 5 %. Arguments are those of `compile_config`, the
  kind of chip, and the step `first` compiled with a batch size that fits.
  """
  unit = len(devices) * config.gradient_accumulation
  config = config.copy_and_resolve_references()

  def attempt(batch_size: int) -> compile_step.CompiledStep:
    config.batch_size = batch_size
    return compile_step.compile_config(config, devices, step)

  half = max(1, first.batch_size // 2 // unit) * unit
  if half == first.batch_size:
    half *= 2
  log.info('searching for the largest batch: compiles twice or more')
  try:
    other = attempt(half)
  except compile_step.OutOfMemory:
    return first.batch_size
  slope = (first.peak_bytes - other.peak_bytes) / (first.batch_size - half)
  usable = _USABLE * chip.hbm_bytes
  room = usable - first.peak_bytes
  if slope <= 0:
    raise UserError(
      f'--largest_batch: batch size {first.batch_size} takes no more memory '
      f'than {half}; start with a larger --config.batch_size'
    )
  batch_size = int(first.batch_size + room / slope) // unit * unit
  while batch_size > first.batch_size:
    try:
      # Where a fusion of small batches does not happen, memory grows faster.
      if (peak := attempt(batch_size).peak_bytes) <= usable:
        return batch_size
      reason = f'{peak / 1e9:.2f} GB of {usable / 1e9:.2f}'
    except compile_step.OutOfMemory as error:
      reason = str(error)
    log.info('batch size %d does not fit: %s', batch_size, reason)
    smaller = int(0.95 * batch_size) // unit * unit
    batch_size = min(batch_size - unit, smaller)
  return first.batch_size


def suggest_smaller(config, num_devices: int, ratio: float) -> int:
  """Returns a valid batch size that takes about 1/`ratio` of the memory."""
  unit = num_devices * config.gradient_accumulation
  return max(1, int(config.batch_size / max(ratio, 1.05) / unit)) * unit
