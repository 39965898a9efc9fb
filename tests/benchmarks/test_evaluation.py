"""The evaluation benchmark."""

import json

import pytest

from tests.support.benchmarks import TINIEST
from tests.support.benchmarks import benchmark


@pytest.mark.slow
def test_ratios_to_bare_step_and_single_crop():
  done = benchmark(
    '--what=evaluation',
    *TINIEST,
    '--config.batch_size=64',
    '--rounds=1',
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert 0 < result['times_bare'] < 2
  assert 0.1 < result['times_144'] < 10
  assert result['image_size'] == 9
