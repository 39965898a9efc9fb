"""What the C library does with memory that is given back to it."""

import ctypes
import glob
import os

# Of <malloc.h>.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_ACCELERATORS = ('/dev/nvidia[0-9]*', '/dev/kfd', '/dev/accel*', '/dev/vfio/*')


def keep() -> None:
  """Has glibc keep what it is given back, where the CPU is the device.

  On CPUs XLA asks for the memory of a step anew at every step, gigabytes, and
  glibc would get each from the kernel, page by page, zeroed: a third of the
  time of a training step of Inception-v3, batch 8, on two cores. To be called
  before there are threads, whose own arenas could hold no block of that size.
  The price is one lock for all threads, so that machines that have an
  accelerator, and cores enough to feed it, go without; and so does whoever has
  set $GLIBC_TUNABLES.
  """
  if 'GLIBC_TUNABLES' in os.environ or any(map(glob.glob, _ACCELERATORS)):
    return
  try:
    mallopt = ctypes.CDLL(None).mallopt
  except (AttributeError, OSError):  # of another C library
    return
  for key, value in ((_TRIM_THRESHOLD, -1), (_MMAP_MAX, 0), (_ARENA_MAX, 1)):
    mallopt(key, value)
