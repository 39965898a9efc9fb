"""The checkpoint benchmark."""

import json

import pytest

from tests.support.benchmarks import TINIEST
from tests.support.benchmarks import benchmark
from tests.support.benchmarks import rows


@pytest.mark.slow
def test_ratios_and_ledger(tmp_path):
  done = benchmark(
    '--what=checkpoint',
    *TINIEST,
    '--rounds=1',
    '--steps=2',
    f'--ledger={tmp_path / "ledger.csv"}',
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert 0 < result['times_without'] and 0 < result['times_copy']
  (line,) = rows(tmp_path / 'ledger.csv')
  assert line['what'] == 'checkpoint'
