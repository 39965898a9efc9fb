"""Measures the time to the first training step, cold and from the cache."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks import timing
from inception_jax.runtime import hardware

_MAIN = pathlib.Path(__file__).parents[1] / 'main.py'


def measure(args: list[str], rounds: int) -> dict:
  """Starts `main.py` with an empty compilation cache, then with a filled one.

  `args` are --config and its overrides; there are two starts in a round.

  Returns:
    Medians: 'times_cold', the time of the second start relative to the first;
    'cold_seconds' and 'warm_seconds'; 'programs', the compiled programs of the
    first start, and how many more the second compiled; and the settings.
  """
  times, programs = [], []
  for _ in timing.rounds(rounds):
    with tempfile.TemporaryDirectory() as cache:
      for _ in range(2):
        times.append(_seconds(args, cache))
        programs.append(len(list(pathlib.Path(cache).glob('*-cache'))))
  cold, warm = np.reshape(times, (-1, 2)).T
  return {
    'times_cold': timing.median(warm / cold, 3),
    'cold_seconds': timing.median(cold, 1),
    'warm_seconds': timing.median(warm, 1),
    'args': args,
    'device': hardware.devices(),
    'programs': [programs[0], programs[1] - programs[0]],
  }


def _seconds(args, cache: str) -> float:
  # The environment variable would override the flag.
  env = dict(os.environ)
  env.pop('JAX_COMPILATION_CACHE_DIR', None)
  with tempfile.TemporaryDirectory() as workdir:
    command = [
      *(sys.executable, str(_MAIN), *args),
      *(f'--workdir={workdir}', f'--compilation_cache={cache}'),
      *('--config.train_for=2 steps', '--config.log_every=1 step'),
    ]
    metrics = pathlib.Path(workdir, 'metrics.jsonl')
    with tempfile.TemporaryFile('w+') as output:
      begin = time.perf_counter()
      process = subprocess.Popen(command, env=env, stdout=output, stderr=output)
      try:
        while not (metrics.exists() and metrics.stat().st_size):
          if process.poll() is not None:
            output.seek(0)
            raise RuntimeError(
              f'{_MAIN.name} ended early:\n{output.read()[-2000:]}'
            )
          time.sleep(0.01)
        return time.perf_counter() - begin
      finally:
        # By then, every compiled program is in the cache.
        process.kill()
        process.wait()
