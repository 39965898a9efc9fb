"""What a program is compiled for, and a figure was measured on."""

import os
import platform

import jax

# On TPUs XLA exchanges at most 256 arrays at once, of not too many bytes, and
# gradients and statistics are more: without this, a step would exchange four
# times, not twice, or, in float16, three times.
_TPU_OPTIONS = {
  'xla_jf_crs_combiner_threshold_count': 4096,
  'xla_jf_crs_combiner_threshold_in_bytes': 2**30,
}


def compiler_options(mesh, deterministic: bool) -> dict | None:
  """What XLA is asked for, beyond its defaults.

  Args:
    mesh: the devices.
    deterministic: whether each process is to compute the same bits. It counts
      on GPUs, for which XLA takes whichever algorithm was the fastest in a
      trial, and adds in any order.
  """
  if mesh.devices.flat[0].platform == 'tpu':
    return _TPU_OPTIONS
  if deterministic:
    return {'xla_gpu_deterministic_ops': True}
  return None


def machine() -> str:
  """The host: '2 cores of AMD EPYC …'."""
  name = platform.processor() or platform.machine()
  try:
    with open('/proc/cpuinfo') as file:
      names = [text for text in file if text.startswith('model name')]
    name = names[0].split(':')[1].strip()
  except (OSError, IndexError):  # not Linux, or not x86
    pass
  return f'{len(os.sched_getaffinity(0))} cores of {name}'


def devices() -> str:
  """The accelerators of all processes: '8 × TPU v4'."""
  return f'{jax.device_count()} × {jax.devices()[0].device_kind}'
