"""Batch sizes that fit in the memory of chips."""

import dataclasses

import jax
import pytest

from inception_jax.aot import chips
from inception_jax.aot import compile_step
from inception_jax.aot import largest_batch


def test_largest_batch_fills_the_memory(tiniest):
  device = jax.devices()[:1]
  tiniest.batch_size = 64
  first = compile_step.compile_config(tiniest, device, 'eval')
  chip = dataclasses.replace(
    chips.CHIPS['v5e'], hbm_bytes=10 * first.peak_bytes
  )
  found = largest_batch.find(tiniest, device, 'eval', chip, first)
  tiniest.batch_size = found
  peak = compile_step.compile_config(tiniest, device, 'eval').peak_bytes
  assert 0.9 < peak / chip.hbm_bytes < 1
  assert found > 9 * 64  # parameters take the same memory at any batch size


@pytest.mark.parametrize(
  'message, ratio',
  [
    (
      'RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required '
      'for HLO temporaries (31.50G) exceeds available HBM (15.75G).\n\nMore',
      2.0,
    ),
    ('Ran out of memory. Used 1.5G of 768.0M hbm. Exceeded', 2.0),
    ('RESOURCE_EXHAUSTED', 1.0),
  ],
)
def test_smaller_batch_is_suggested(tiny, message, ratio):
  error = compile_step.OutOfMemory(message)
  assert error.ratio == ratio
  assert '\n' not in str(error)
  tiny.batch_size, tiny.gradient_accumulation = 1024, 2
  batch = largest_batch.suggest_smaller(tiny, 8, error.ratio)
  assert batch % 16 == 0
  assert batch == 512 if ratio > 1 else 900 < batch < 1024
