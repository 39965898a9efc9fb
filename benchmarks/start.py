"""Measures the time to the first training step, cold and from the cache."""

import logging
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from inception_jax.runtime import hardware

log = logging.getLogger(__name__)

_MAIN = pathlib.Path(__file__).parents[1] / 'main.py'


def measure(args: list[str], rounds: int) -> dict:
  """Starts `main.py` with an empty compilation cache, then with a filled one.

  Args:
    args: --config and its overrides, for main.py.
    rounds: pairs of starts.

  Returns:
    Medians: 'times_cold', the time of the second start relative to the first;
    'cold_seconds' and 'warm_seconds'; and the settings.
  """
  results = []
  for i in range(rounds):
    log.info('round %d of %d', i + 1, rounds)
    with tempfile.TemporaryDirectory() as cache:
      results.append([_seconds(args, cache) for _ in range(2)])
  seconds = [statistics.median(side) for side in zip(*results, strict=True)]
  return {
    'times_cold': round(
      statistics.median(warm / cold for cold, warm in results), 3
    ),
    'cold_seconds': round(seconds[0], 1),
    'warm_seconds': round(seconds[1], 1),
    'args': args,
    'device': hardware.devices(),
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
