"""The command tools.compare."""

import json
import math
import os

import numpy as np
import pytest

from tests.support import runs
from tests.support.commands import tool


def test_table_groups_and_paired_difference(reported, tmp_path):
  workdirs, _ = reported
  first, second = map(str, workdirs)
  done = tool('compare', f'--workdir={first}', second)
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


SCORES = {'step': 6, 'loss': 1.0, 'top1': 0.5, 'top5': 1.0, 'count': 8}
HOSTILE = {
  'evaluation.json': [
    '',
    '[' * 100_000,
    '9' * 5000,
    '[]',
    '{"result": 7}',
    *(
      json.dumps({'result': {**SCORES, **change}})
      for change in (
        {'top1': None},
        {'top1': '1'},
        {'top1': 1.5},
        {'count': 0},
        {'loss': math.inf},
        {'loss': math.nan},
      )
    ),
  ],
  'predictions.csv': [
    'image,top1\na,1\n',
    'image,top1,probability_1\na\n',
    'image,top1,probability_1\na,1,nan\n',
    'image,top1,probability_1\na,1,7\n',
    'image,top1,probability_1\n"' + 'a' * 200_000,
    'image,top1,probability_1\na\0,1,x\n',
  ],
  'config.json': ['{', '7', '[1]', '[' * 100_000, '{"a":' * 900 + '}' * 900],
}


def test_damaged_files_are_errors(tmp_path):
  """Each file of each kind, all in one command."""
  sound = {
    'evaluation.json': json.dumps({'result': SCORES}),
    'predictions.csv': 'image,top1,probability_1\na,1,0.5\n',
    'config.json': '{"seed": 0}',
  }
  cases = [(name, text) for name, texts in HOSTILE.items() for text in texts]
  for i, (name, text) in enumerate([*cases, ('config.json', '{"seed": 0}')]):
    (tmp_path / f'{i:02}').mkdir()
    for file, content in {**sound, name: text}.items():
      (tmp_path / f'{i:02}' / file).write_text(content)
  paths = sorted(map(str, tmp_path.iterdir()))
  done = tool('compare', *paths)
  runs.check_faults(done, paths[: len(cases)])
  assert all(len(line) < 2100 for line in done.stderr.splitlines())


def test_names_do_not_break_the_table(tmp_path):
  run = tmp_path / 'a\n\x1b[2J'
  run.mkdir()
  line = json.dumps({'split': 'eval', **SCORES}) + '\n'
  (run / 'metrics.jsonl').write_text(line + 'damaged \x1b[2J\n')
  done = tool('compare', str(run))
  assert done.returncode == 0, done.stderr
  _, row, result = done.stdout.splitlines()
  assert row.startswith(f'{tmp_path}/a\\n\\x1b[2J  6 ')
  assert json.loads(result)['runs'][0]['run'] == str(run)
  (warning,) = done.stderr.splitlines()
  assert r'a\n\x1b[2J/metrics.jsonl, line 2, is damaged' in warning


@pytest.mark.parametrize(
  ('name', 'content'),
  [
    ('evaluation.json', b'1'),
    ('evaluation.json', b'[' * 5000),
    ('evaluation.json', b'{"result": {"step": 1}}'),
    ('config.json', b'[]'),
    ('config.json', b'{"seed": []}'),
    ('metrics.jsonl', b'{"step": 1, "split": "eval", "count": 2, "top1": 2}\n'),
  ],
)
def test_hostile_json_is_one_error(tmp_path, name, content):
  scores = {'step': 1, 'count': 2, 'top1': 0.5, 'top5': 1.0, 'loss': None}
  line = json.dumps({'split': 'eval', **scores})
  (tmp_path / 'metrics.jsonl').write_text(f'{line}\n')
  (tmp_path / 'predictions.csv').write_text('')
  assert tool('compare', str(tmp_path)).returncode == 0
  (tmp_path / name).write_bytes(content)
  done = tool('compare', str(tmp_path))
  *_, error = done.stderr.splitlines()
  assert done.returncode == 2
  assert f'{name} cannot be read' in error or 'no evaluation' in error


@pytest.mark.parametrize(
  ('args', 'faults'),
  [
    ([], ['one or more runs']),
    (['{root}/none', '{run}', '{root}/nix'], ['none', 'nix']),
    (['obs://a', '{run}', 'http://b'], ['not obs://', 'not http://']),
  ],
)
def test_every_fault_is_reported(workdirs, tmp_path, args, faults):
  args = [arg.format(root=tmp_path, run=workdirs[0]) for arg in args]
  runs.check_faults(tool('compare', *args), faults)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  'name',
  ['metrics.jsonl', 'config.json', 'evaluation.json', 'predictions.csv'],
)
def test_pipes_in_a_run_are_errors(name, tmp_path):
  (tmp_path / 'config.json').write_text('{"seed": 0}')
  if name != 'metrics.jsonl':
    summary = json.dumps({'result': SCORES})
    (tmp_path / 'evaluation.json').write_text(summary)
    sound = 'image,top1,probability_1\na,1,0.5\n'
    (tmp_path / 'predictions.csv').write_text(sound)
  (tmp_path / name).unlink(missing_ok=True)
  os.mkfifo(tmp_path / name)
  done = tool('compare', str(tmp_path))
  assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
  assert f'{tmp_path / name} cannot be read' in done.stderr
