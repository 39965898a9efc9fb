"""Runs benchmarks as commands, on networks that compile in seconds."""

import csv

from tests.support import commands

# For measurements that do not depend on the depth of the network.
TINIEST = (
  '--config=configs/digits.py',
  '--config.model.name=tiniest',
  '--config.model.aux_head=False',
  '--config.model.width=1.0',
  '--config.data.image_size=9',
)


def benchmark(*args):
  """Runs benchmarks.run, in which the networks of tests.support.tiny exist."""
  start = "runpy.run_module('benchmarks.run', None, '__main__')"
  program = ('-c', f'import runpy, tests.support.tiny; {start}')
  return commands.run(*args, program=program)


def rows(ledger) -> list[dict[str, str]]:
  """Reads the rows of a ledger."""
  with open(ledger, newline='') as file:
    return list(csv.DictReader(file))
