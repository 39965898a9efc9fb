"""The command tools.compare."""

import json

import numpy as np
import pytest

from tests.support import runs
from tests.support.commands import tool


def test_table_groups_and_paired_difference(reported, tmp_path):
  workdirs, _ = reported
  done = tool('compare', *map(str, workdirs))
  assert done.returncode == 0, done.stderr
  *table, line = done.stdout.splitlines()
  result = json.loads(line)
  last = [runs.metrics(workdir)[-1] for workdir in workdirs]
  assert [row['top1'] for row in result['runs']] == [x['top1'] for x in last]
  assert [row['count'] for row in result['runs']] == [11, 11]
  correct = [
    [line['top1'] == '1' for line in runs.predictions(workdir / 'report')]
    for workdir in workdirs
  ]
  difference = result['runs'][1]['paired']['difference']
  assert difference == pytest.approx(np.mean(correct[1]) - np.mean(correct[0]))
  (group,) = result['groups']
  mean = np.mean([x['top1'] for x in last])
  assert group['top1_mean'] == pytest.approx(mean)
  assert len(table) == 4
  assert str(workdirs[0]) in table[1]
  assert table[3].startswith('2 seeds: top-1 ')
  # A run without predictions has no paired difference.
  bare = tmp_path / 'bare'
  bare.mkdir()
  (bare / 'metrics.jsonl').write_bytes(
    (workdirs[0] / 'metrics.jsonl').read_bytes()
  )
  done = tool('compare', str(workdirs[0]), str(bare))
  assert 'paired' not in json.loads(done.stdout.splitlines()[-1])['runs'][1]


@pytest.mark.parametrize(
  ('args', 'faults'),
  [
    ([], ['one or more runs']),
    (['{root}/none', '{run}', '{root}/nix'], ['none', 'nix']),
  ],
)
def test_every_fault_is_reported(workdirs, tmp_path, args, faults):
  args = [arg.format(root=tmp_path, run=workdirs[0]) for arg in args]
  runs.check_faults(tool('compare', *args), faults)
  assert not list(tmp_path.iterdir())
