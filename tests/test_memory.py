"""The C library keeps what it is given back, on machines with a CPU alone."""

import os
import subprocess
import sys

import pytest

from tests.commands import ROOT

# What is freed by a thread, too, for XLA has its own.
_SCRIPT = """
import ctypes, resource, sys, threading
from inception_jax import memory
memory._ACCELERATORS += tuple(sys.argv[1:])
memory.keep()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.memset.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def faults(size=2**28):
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  block = libc.malloc(ctypes.c_size_t(size))
  libc.memset(block, 1, size)
  libc.free(block)
  found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
found = []
for _ in range(3):
  thread = threading.Thread(target=faults)
  thread.start()
  thread.join()
print(found[-1])
"""
_PAGES = 2**28 // 4096


def faults(*accelerators, **env) -> int:
  """Pages that a block has to be given again, after others of its size."""
  env = {k: v for k, v in os.environ.items() if k != 'GLIBC_TUNABLES'} | env
  done = subprocess.run(
    [sys.executable, '-c', _SCRIPT, *accelerators],
    capture_output=True,
    check=True,
    cwd=ROOT,
    env=env,
    text=True,
  )
  return int(done.stdout)


def test_memory_is_kept():
  assert faults() < _PAGES / 100


@pytest.mark.parametrize(
  ('accelerators', 'env'),
  [
    (['/proc/self'], {}),
    ([], {'GLIBC_TUNABLES': 'glibc.malloc.check=0'}),
  ],
  ids=['an accelerator', "the user's own choice"],
)
def test_memory_is_given_back(accelerators, env):
  # Of huge pages there would be fewer, but not that few.
  assert faults(*accelerators, **env) > _PAGES / 600
