"""Sides that take turns, and peers in environments of their own."""

from collections.abc import Callable
from collections.abc import Iterator
import json
import logging
import pathlib
import subprocess
import time

import numpy as np

log = logging.getLogger(__name__)

PEERS = pathlib.Path(__file__).parent / 'peers'


def rounds(number: int) -> Iterator[int]:
  """Yields the index of each round, and logs its start."""
  for i in range(number):
    log.info('round %d of %d', i + 1, number)
    yield i


def seconds(function: Callable, *args) -> float:
  """Returns the seconds that a call takes."""
  begin = time.perf_counter()
  function(*args)
  return time.perf_counter() - begin


def alternate(
  sides: dict[str, Callable[[], float]], number: int
) -> dict[str, np.ndarray]:
  """Returns the seconds that each side reports in each round."""
  results = {name: [] for name in sides}
  for i in rounds(number):
    # The order alternates, so that no side always runs after the same other.
    for name, side in list(sides.items())[:: -1 if i % 2 else 1]:
      results[name].append(side())
  return {name: np.array(values) for name, values in results.items()}


def median(values, digits: int | None = None) -> float:
  """Returns the median, rounded to `digits` or to an integer."""
  return round(float(np.median(values)), digits)


def run_peer(python: str, script: str, *args) -> dict:
  """Runs a script of peers/; returns the JSON object of its last line."""
  command = [python, PEERS / script, *args]
  done = subprocess.run(map(str, command), capture_output=True, text=True)
  if done.returncode:
    raise RuntimeError(f'{script} failed:\n{done.stderr[-2000:]}')
  return json.loads(done.stdout.splitlines()[-1])
