"""The export benchmark, with a stub in place of timm."""

import json

import pytest

from configs import digits
from inception_jax.export import formats
from inception_jax.models import factory
from tests.support import pictures
from tests.support.benchmarks import TINIEST
from tests.support.benchmarks import benchmark
from tests.support.benchmarks import rows


@pytest.mark.slow
def test_every_format_is_measured(tmp_path):
  # In place of timm's export, our own network.
  python = tmp_path / 'python'
  peer = tmp_path / 'peer.onnx'
  python.write_text(f'#!/bin/sh\ncp {peer} "$3"\necho \'{{"timm": "0"}}\'\n')
  python.chmod(0o755)
  config = digits.get_config()
  config.model.update(name='tiniest', width=1.0, aux_head=False)
  config.data.image_size = 9
  config = factory.resolve(config)
  weights = pictures.random_weights(config, 1000)
  formats.FORMATS['onnx'].save(weights, str(peer), 0)
  done = benchmark(
    '--what=export',
    *TINIEST,
    f'--torch={python}',
    # A run takes 0.2 ms: of few, one that the system interrupts for 20 ms
    # would decide times_timm. The median of eleven ignores it.
    '--rounds=11',
    f'--ledger={tmp_path / "ledger.csv"}',
  )
  assert done.returncode == 0, done.stderr
  results = json.loads(done.stdout.splitlines()[-1])['rows']
  assert [row['format'] for row in results] == list(formats.LOADED)
  for row in results:
    assert 0 < row['relative_diff'] < formats.FORMATS[row['format']].bound
    assert row['images_per_sec'] > 0
  by_format = {row['format']: row for row in results}
  assert by_format['onnx']['bytes'] == pytest.approx(
    peer.stat().st_size, rel=0.01
  )
  assert 0.1 < by_format['onnx']['times_timm'] < 10
  assert by_format['onnx']['versions'] == {'timm': '0'}
  assert by_format['litert']['times_timm'] is None
  lines = rows(tmp_path / 'ledger.csv')
  assert [line['format'] for line in lines] == list(formats.LOADED)
  assert lines[0]['times_timm'] == str(by_format['onnx']['times_timm'])
