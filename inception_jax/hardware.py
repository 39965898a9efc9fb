"""What a program is compiled for, and a figure was measured on."""

import os
import platform
import sys

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


def allocator() -> str:
  """Of the host's memory: 'tcmalloc' where that was preloaded, or 'libc'."""
  known = ('tcmalloc', 'jemalloc', 'mimalloc')
  preloaded = os.environ.get('LD_PRELOAD', '')
  return next((name for name in known if name in preloaded), 'libc')


def advice(mesh) -> str:
  """What would make steps on these devices faster; '' for nothing."""
  on_cpus = mesh.devices.flat[0].platform == 'cpu'
  if not on_cpus or sys.platform != 'linux' or allocator() != 'libc':
    return ''
  # glibc gives gigabytes back after each step, and has the next one's zeroed.
  return (
    'on CPUs steps take 15 to 26 % less time with tcmalloc (Debian: '
    'libtcmalloc-minimal4): LD_PRELOAD=libtcmalloc_minimal.so.4 python …'
  )


def devices() -> str:
  """The accelerators of all processes: '8 × TPU v4'."""
  return f'{jax.device_count()} × {jax.devices()[0].device_kind}'
