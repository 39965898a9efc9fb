"""tools.benchmark, with a stand-in for the other side."""

import csv
import json

import pytest

from inception_jax.tools import benchmark_input
from tests.commands import run

BENCHMARK = {'program': ('-m', 'inception_jax.tools.benchmark')}


@pytest.fixture
def other_side(tmp_path):
  """A program that says what torchvision's side would."""
  rates = {'float32': 10.0, 'uint8': 20.0, 'versions': {'torch': '0'}}
  path = tmp_path / 'python'
  path.write_text(f"#!/bin/sh\necho '{json.dumps(rates)}'\n")
  path.chmod(0o755)
  return path


def test_ratios_memory_and_ledger(tmp_path, other_side):
  photos = tmp_path / 'photos'
  benchmark_input.write_photos(str(photos), 12)
  before = sorted(photos.rglob('*'))
  args = [
    f'--torch={other_side}',
    f'--data_dir={photos}',
    f'--ledger={tmp_path / "ledger.csv"}',
    '--config.data.image_size=32',
    '--rounds=1',
    '--batches=2',
    '--listed=1000',
  ]
  done = run(*args, **BENCHMARK)
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
  with open(tmp_path / 'ledger.csv') as file:
    (line,) = csv.DictReader(file)
  assert json.loads(line['images_per_sec']) == rates
  assert 'cores of' in line['machine']


def test_without_torchvision_it_says_what_makes_it(tmp_path):
  done = run(f'--torch={tmp_path}/python', **BENCHMARK)
  assert done.returncode == 2
  assert '`make bench` makes one' in done.stderr


@pytest.mark.slow
def test_the_cost_of_an_evaluation(tmp_path):
  done = run(
    '--what=evaluation',
    '--config=configs/digits.py',
    '--config.data.image_size=9',
    '--config.model.width=0.1',
    '--config.batch_size=64',
    '--rounds=1',
    **BENCHMARK,
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert 0 < result['times_bare'] < 2
  assert 0.1 < result['times_144'] < 10
  assert result['image_size'] == 9


@pytest.mark.slow
def test_the_cost_of_a_checkpoint(tmp_path):
  done = run(
    '--what=checkpoint',
    '--config=configs/digits.py',
    '--config.data.image_size=9',
    '--config.model.width=0.1',
    '--rounds=1',
    '--steps=2',
    f'--ledger={tmp_path / "ledger.csv"}',
    **BENCHMARK,
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert 0 < result['times_without'] and 0 < result['times_copy']
  with open(tmp_path / 'ledger.csv') as file:
    (line,) = csv.DictReader(file)
  assert line['what'] == 'checkpoint'
