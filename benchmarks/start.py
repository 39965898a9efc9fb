"""What a start takes until its first step is done: cold, and once more."""

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
  """Starts `main.py` with nothing compiled, and again with what that left.

  Args:
    args: the recipe and what is changed of it, as main.py takes them.
    rounds: pairs of starts.

  Returns:
    'times_cold', the time of the second start over that of the first;
    'cold_seconds' and 'warm_seconds', medians; what it was measured on.
  """
  found = []
  for i in range(rounds):
    log.info('round %d of %d', i + 1, rounds)
    with tempfile.TemporaryDirectory() as cache:
      found.append([_seconds(args, cache) for _ in range(2)])
  seconds = [statistics.median(side) for side in zip(*found, strict=True)]
  return {
    'times_cold': round(statistics.median(w / c for c, w in found), 3),
    'cold_seconds': round(seconds[0], 1),
    'warm_seconds': round(seconds[1], 1),
    'args': args,
    'device': hardware.devices(),
  }


def _seconds(args, cache: str) -> float:
  # It would go before the flag.
  env = dict(os.environ)
  env.pop('JAX_COMPILATION_CACHE_DIR', None)
  with tempfile.TemporaryDirectory() as workdir:
    asked = [
      *(sys.executable, str(_MAIN), *args),
      *(f'--workdir={workdir}', f'--compilation_cache={cache}'),
      *('--config.train_for=2 steps', '--config.log_every=1 step'),
    ]
    lines = pathlib.Path(workdir, 'metrics.jsonl')
    with tempfile.TemporaryFile('w+') as said:
      begin = time.perf_counter()
      process = subprocess.Popen(asked, env=env, stdout=said, stderr=said)
      try:
        while not (lines.exists() and lines.stat().st_size):
          if process.poll() is not None:
            said.seek(0)
            raise RuntimeError(f'{_MAIN.name} ended:\n{said.read()[-2000:]}')
          time.sleep(0.01)
        return time.perf_counter() - begin
      finally:
        # All that is compiled has been kept.
        process.kill()
        process.wait()
