"""Runs the project's commands in processes of their own, as users do."""

import ctypes.util
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
# The tests compile small programs and run them a few times: optimising them
# takes longer than it saves, and MLIR's emitters take a third of a test's time.
UNOPTIMISED = (
  '--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false'
)
_TIMEOUT = 600  # seconds; the slowest command takes a quarter of it
_MALLOC = ctypes.util.find_library('tcmalloc_minimal')


def command(*args, devices=1, program=('main.py',), optimised=False, cwd=ROOT):
  """Returns keyword arguments for subprocess.run or Popen.

  Args:
    *args: the command's arguments.
    devices: number of CPU devices that it sees.
    program: main.py, or ('-m', module) for a tool.
    optimised: whether XLA optimises, as for users: compiling then takes twice
      as long and running a tenth of the time.
    cwd: working directory.
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
  """Runs `command` to its end; returns the CompletedProcess."""
  return subprocess.run(**command(*args, **kwargs), timeout=_TIMEOUT)


def tool(name, *args, **kwargs):
  """Runs a tool to which the networks of tests.support.tiny are known."""
  code = f"runpy.run_module('inception_jax.tools.{name}', None, '__main__')"
  program = ('-c', f'import runpy, tests.support.tiny; {code}')
  return run(*args, program=program, **kwargs)
