"""Runs commands of the project as their users do: in a process of their own."""

import ctypes.util
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
# Small programs that run a few times: optimising them takes longer, and MLIR's
# emitters, where nothing is optimised, a third of a test's time.
UNOPTIMISED = (
  '--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false'
)
_TIMEOUT = 600  # seconds; the longest takes a quarter of it
_MALLOC = ctypes.util.find_library('tcmalloc_minimal')


def command(*args, devices=1, program=('main.py',), optimised=False, cwd=ROOT):
  """Arguments for subprocess.

  Args:
    *args: of the program.
    devices: how many CPU devices it sees.
    program: main.py, or ('-m', the module of a tool).
    optimised: whether compiled programs are, as a user's: it takes twice as
      long to compile them, and a tenth of the time to run.
    cwd: the folder that it starts in.
  """
  env = dict(os.environ)
  env['XLA_FLAGS'] = f'--xla_force_host_platform_device_count={devices}'
  if not optimised:
    env['XLA_FLAGS'] += f' {UNOPTIMISED}'
  env['PYTHONPATH'] = str(ROOT)
  env.pop('TFDS_DATA_DIR', None)
  if _MALLOC:  # as `make train` does
    env.setdefault('LD_PRELOAD', _MALLOC)
  return {
    'args': [sys.executable, *program, *args],
    'cwd': cwd,
    'env': env,
    'stdout': subprocess.PIPE,
    'stderr': subprocess.PIPE,
    'text': True,
  }


def run(*args, **kwargs):
  return subprocess.run(**command(*args, **kwargs), timeout=_TIMEOUT)


def tool(name, *args, **kwargs):
  """Runs a tool that knows the network of tests.support.tiny."""
  run_it = f"runpy.run_module('inception_jax.tools.{name}', None, '__main__')"
  program = ('-c', f'import runpy, tests.support.tiny; {run_it}')
  return run(*args, program=program, **kwargs)
