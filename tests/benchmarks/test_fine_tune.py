"""The benchmark of frozen layers."""

import json

import pytest

from tests.support.benchmarks import TINIEST
from tests.support.benchmarks import benchmark


@pytest.mark.slow
def test_frozen_layers_take_less_time_and_memory():
  done = benchmark(
    '--what=fine_tune', *TINIEST, '--config.batch_size=64', '--rounds=1'
  )
  assert done.returncode == 0, done.stderr
  rows = json.loads(done.stdout.splitlines()[-1])['rows']
  assert [row['trained'] for row in rows] == [
    'head on cached features',
    'head',
    'head and mixed_2a',
    'all',
  ]
  assert all(row['times_forward'] > 0 for row in rows)
  memory = [row['memory_gb'] for row in rows]
  assert memory == sorted(memory)


@pytest.mark.slow
def test_one_set_of_layers():
  done = benchmark('--what=fine_tune', *TINIEST, '--rounds=1', '--trained=head')
  assert done.returncode == 0, done.stderr
  (row,) = json.loads(done.stdout.splitlines()[-1])['rows']
  assert row['trained'] == 'head' and row['compile_seconds'] > 0


def test_unknown_sets_of_layers_are_an_error():
  done = benchmark('--what=fine_tune', *TINIEST, '--trained=head,tail')
  assert done.returncode == 2
  assert '--trained=tail: expected some of' in done.stderr
