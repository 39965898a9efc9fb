"""What a figure was measured on."""

import os
import platform

import jax


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
