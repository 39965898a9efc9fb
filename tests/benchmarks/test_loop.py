"""The training loop benchmark."""

import json

import pytest

from tests.support.benchmarks import TINIEST
from tests.support.benchmarks import benchmark
from tests.support.benchmarks import rows


@pytest.mark.slow
@pytest.mark.parametrize('source', ['digits', 'folder'])
def test_ratio_to_the_bare_step(tmp_path, source):
  done = benchmark(
    '--what=loop',
    *TINIEST,
    f'--config.data.source={source}',
    '--config.batch_size=16',
    '--rounds=1',
    '--steps=2',
    f'--ledger={tmp_path / "ledger.csv"}',
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert result['times_bare'] == pytest.approx(
    result['images_per_sec'] / result['bare_images_per_sec'], abs=1e-3
  )
  assert result['source'] == source
  (line,) = rows(tmp_path / 'ledger.csv')
  assert line['times_bare'] == str(result['times_bare'])
