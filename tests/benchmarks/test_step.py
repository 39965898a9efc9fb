"""The step benchmark, with a stub in place of the peer."""

import json

import pytest

from tests.support.benchmarks import TINIEST
from tests.support.benchmarks import benchmark
from tests.support.benchmarks import rows


@pytest.mark.slow
@pytest.mark.parametrize(
  ('python_flag', 'flags', 'expected'),
  [
    (
      '--torch',
      ('--network=file.py:make',),
      'timm_step.py file.py:make 16 9 1000 1 float32 off',
    ),
    ('--mindspore', (), 'mindcv_step.py tiny 16 9 1000 1'),
  ],
)
def test_steps_alternate_with_a_peer(tmp_path, python_flag, flags, expected):
  # In place of the peer, a program that reports 0.01 s per step.
  python = tmp_path / 'python'
  python.write_text(
    '#!/bin/sh\n'
    f'echo "$@" > {tmp_path}/requests\n'
    'echo \'{"torch": "0"}\'\n'
    f'while read what steps; do echo $what >> {tmp_path}/requests\n'
    '  awk "BEGIN { print $steps * 0.01 }"; done\n'
  )
  python.chmod(0o755)
  done = benchmark(
    '--what=step',
    *TINIEST,
    '--config.model.name=tiny',
    '--config.model.aux_head',
    '--config.batch_size=16',
    '--config.ema_decay=0.9',
    f'{python_flag}={python}',
    *flags,
    '--rounds=1',
    f'--ledger={tmp_path / "ledger.csv"}',
  )
  assert done.returncode == 0, done.stderr
  results = json.loads(done.stdout.splitlines()[-1])['rows']
  assert [row['what'] for row in results] == ['train', 'inference']
  for row in results:
    assert row['their_images_per_sec'] == pytest.approx(1600)
    assert row['times_theirs'] == pytest.approx(
      row['images_per_sec'] / 1600, abs=1e-3
    )
    assert row['device'] == '1 × cpu'
    assert row['versions']['torch'] == '0'
  requests = (tmp_path / 'requests').read_text().splitlines()
  assert requests[0].endswith(expected)
  assert requests[1:] == ['train'] * 3 + ['inference'] * 3
  lines = rows(tmp_path / 'ledger.csv')
  assert [line['what'] for line in lines] == ['train', 'inference']


@pytest.mark.slow
def test_our_side_alone():
  done = benchmark(
    '--what=step',
    *TINIEST,
    '--config.batch_size=16',
    '--torch=',
    '--passes=inference',
    '--rounds=1',
  )
  assert done.returncode == 0, done.stderr
  (row,) = json.loads(done.stdout.splitlines()[-1])['rows']
  assert row['what'] == 'inference'
  assert row['images_per_sec'] > 0 and row['compile_seconds'] > 0
  theirs = ('times_theirs', 'their_images_per_sec', 'their_compile_seconds')
  assert [row[key] for key in theirs] == ['', '', '']
