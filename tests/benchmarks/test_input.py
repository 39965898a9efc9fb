"""The input benchmark, with a stub in place of torchvision."""

import json

import pytest

from benchmarks import input
from tests.support.benchmarks import benchmark
from tests.support.benchmarks import rows


@pytest.fixture
def torchvision_stub(tmp_path):
  """A program that prints what the torchvision peer would."""
  rates = {'float32': 10.0, 'uint8': 20.0, 'versions': {'torch': '0'}}
  path = tmp_path / 'python'
  path.write_text(f"#!/bin/sh\necho '{json.dumps(rates)}'\n")
  path.chmod(0o755)
  return path


@pytest.mark.slow
def test_ratios_memory_and_ledger(tmp_path, torchvision_stub):
  photos = tmp_path / 'photos'
  input.write_photos(str(photos), 12)
  before = sorted(photos.rglob('*'))
  args = [
    f'--torch={torchvision_stub}',
    f'--data_dir={photos}',
    f'--ledger={tmp_path / "ledger.csv"}',
    '--config.data.image_size=32',
    '--rounds=1',
    '--batches=2',
    '--listed=1000',
  ]
  done = benchmark(*args)
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  rates = result['images_per_sec']
  assert rates['torchvision_float32'] == 10
  assert result['times_torchvision_float32'] == pytest.approx(
    rates['ours'] / 10, abs=0.06
  )
  for name in ('same_crops_alone', 'decoding_alone'):
    assert result[f'times_{name}'] == pytest.approx(
      rates['ours'] / rates[name], abs=0.01
    )
  assert result['files_listed'] == 1000
  assert 0.1 < result['memory_gb'] < 2
  assert sorted(photos.rglob('*')) == before
  (line,) = rows(tmp_path / 'ledger.csv')
  assert line['what'] == 'input, given images'
  assert json.loads(line['images_per_sec']) == rates
  assert 'cores of' in line['machine']
