"""Compiler options, and descriptions of the host and its devices."""

import os
import pathlib
import platform
import sys

import jax

# On TPUs, XLA by default combines at most 256 arrays, and a limited number of
# bytes, into one all-reduce. Gradients and statistics exceed that: a step would
# take four all-reduces in place of two, or three in float16.
_TPU_OPTIONS = {
  'xla_jf_crs_combiner_threshold_count': 4096,
  'xla_jf_crs_combiner_threshold_in_bytes': 2**30,
}


def compiler_options(mesh, deterministic: bool) -> dict | None:
  """Returns XLA's options for the mesh's devices, or None for the defaults.

  If `deterministic`, every run computes the same bits. Only GPUs need an option
  for it: XLA autotunes their algorithms, and adds in any order.
  """
  if mesh.devices.flat[0].platform == 'tpu':
    return _TPU_OPTIONS
  if deterministic:
    return {'xla_gpu_deterministic_ops': True}
  return None


def machine() -> str:
  """Returns a description of the host: '2 cores of AMD EPYC …'."""
  name = _cpu().get('model name') or platform.processor() or platform.machine()
  return f'{len(os.sched_getaffinity(0))} cores of {name}'


def _cpu() -> dict[str, str]:
  """Returns Linux's fields about the first core; {} on other systems."""
  try:
    text = pathlib.Path('/proc/cpuinfo').read_text()
  except OSError:
    return {}
  fields = (line.split(':', 1) for line in text.split('\n\n')[0].splitlines())
  return {field[0].strip(): field[-1].strip() for field in fields}


def allocator() -> str:
  """Returns the preloaded memory allocator, as 'tcmalloc', or 'libc'."""
  known = ('tcmalloc', 'jemalloc', 'mimalloc')
  preloaded = os.environ.get('LD_PRELOAD', '')
  return next((name for name in known if name in preloaded), 'libc')


def advice(mesh) -> list[str]:
  """Returns lines of advice on how to train faster on these devices."""
  lines = []
  on_cpus = mesh.devices.flat[0].platform == 'cpu'
  if on_cpus and sys.platform == 'linux' and allocator() == 'libc':
    # glibc returns gigabytes after each step, and the kernel zeroes the next.
    lines.append(
      'on CPUs steps take 15 to 26 % less time with tcmalloc (Debian: '
      'libtcmalloc-minimal4): LD_PRELOAD=libtcmalloc_minimal.so.4 python …'
    )
  if _may_copy_slowly():
    lines.append(
      'reading images may take a fifth less time without `rep movsb`, which is '
      'slow on this CPU (glibc 2.40 avoids it): GLIBC_TUNABLES='
      'glibc.cpu.x86_rep_movsb_threshold=1000000000 python …'
    )
  return lines


def _may_copy_slowly() -> bool:
  """Returns whether glibc's bug 30994 applies: Zen 3 and later have fsrm."""
  cpu = _cpu()
  library, version = platform.libc_ver()
  return (
    cpu.get('vendor_id') == 'AuthenticAMD'
    and 'fsrm' in cpu.get('flags', '').split()
    and library == 'glibc'
    and tuple(map(int, version.split('.'))) < (2, 40)
    and 'x86_rep_movsb_threshold' not in os.environ.get('GLIBC_TUNABLES', '')
  )


def describe(mesh) -> str:
  """Returns the devices of a mesh: '4 gpu devices'."""
  platform = mesh.devices.flat[0].platform
  return f'{mesh.size} {platform} device{"s" * (mesh.size > 1)}'


def devices() -> str:
  """Returns the accelerators of all processes: '8 × TPU v4'."""
  return f'{jax.device_count()} × {jax.devices()[0].device_kind}'
