"""Runs the project's commands in processes of their own, as users do."""

import atexit
import ctypes.util
from importlib import metadata
import os
import pathlib
import runpy
import subprocess
import sys

from tests.support.forks import Fork

ROOT = pathlib.Path(__file__).parents[2]
# The tests compile small programs and run them a few times: optimizing them
# takes longer than it saves.
UNOPTIMISED = '--xla_backend_optimization_level=0'
# Newer versions of jaxlib have no others than MLIR's emitters, which take a
# third of a test's time.
EMITTERS = 'xla_cpu_use_fusion_emitters'
HAS_EMITTERS = metadata.version('jaxlib').startswith('0.10.')
if HAS_EMITTERS:
  UNOPTIMISED += f' --{EMITTERS}=false'
_TIMEOUT = 600  # seconds; the slowest command takes a quarter of it
_MALLOC = ctypes.util.find_library('tcmalloc_minimal')


def command(*args, devices=1, program=('main.py',), optimized=False, cwd=ROOT):
  """Returns keyword arguments for subprocess.run or Popen.

  Args:
    *args: the command's arguments.
    devices: number of CPU devices that it sees.
    program: main.py, or ('-m', module) for a tool.
    optimized: whether XLA optimizes, as for users: compiling then takes twice
      as long and running a tenth of the time.
    cwd: working directory.
  """
  env = dict(os.environ)
  env['XLA_FLAGS'] = f'--xla_force_host_platform_device_count={devices}'
  if not optimized:
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


def start(
  *args, program=('main.py',), prepare=None, stdin=False, stderr=None, **kwargs
) -> Fork:
  """Starts `command` as a fork: quicker, and the same but for its imports.

  Args:
    *args: as for `command`.
    program: likewise, or ('-c', text).
    prepare: function that the process calls first; it can be pickled.
    stdin: as for Fork.
    stderr: as for Fork.
    **kwargs: as for `command`.
  """
  place = command(*args, program=program, **kwargs)
  return Fork(
    _run_here,
    *(program, args, place['cwd'], place['env'], prepare),
    stdin=stdin,
    stderr=stderr,
  )


def run(*args, **kwargs):
  """Runs `start` to its end; returns the CompletedProcess."""
  process = start(*args, **kwargs)
  stdout, stderr = process.communicate(timeout=_TIMEOUT)
  return subprocess.CompletedProcess(args, process.returncode, stdout, stderr)


def _run_here(program, args, cwd, env, prepare):
  """Becomes the process of a command."""
  if prepare:
    prepare()
  os.environ.clear()
  os.environ.update(env)
  os.chdir(cwd)
  *flag, name = program
  sys.argv = [name, *args]
  sys.path[:0] = [str(ROOT)] if flag else [str(pathlib.Path(cwd, name).parent)]
  try:
    match flag:
      case ['-m']:
        runpy.run_module(name, run_name='__main__', alter_sys=True)
      case ['-c']:
        sys.argv[0] = '-c'
        exec(name, {'__name__': '__main__'})
      case []:
        runpy.run_path(str(pathlib.Path(cwd, name)), run_name='__main__')
  finally:
    # multiprocessing leaves these out.
    atexit._run_exitfuncs()


def tool(name, *args, **kwargs):
  """Runs a tool to which the networks of tests.support.tiny are known."""
  code = f"runpy.run_module('inception_jax.tools.{name}', None, '__main__')"
  program = ('-c', f'import runpy, tests.support.tiny; {code}')
  return run(*args, program=program, **kwargs)
