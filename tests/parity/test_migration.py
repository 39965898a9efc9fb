"""The program of the migration table notices wrong rows, and keeps pages."""

import math
import shlex
import subprocess

import pytest

from tests.parity import migration
from tests.parity import migration_checks
from tests.parity import migration_rows
from tests.parity.migration_rows import Bench
from tests.parity.migration_rows import Done
from tests.parity.migration_rows import Row
from tests.parity.migration_rows import Wrong
from tests.support import page_commands
from tests.support.commands import ROOT

# Recipes that a row before has written.
_WRITTEN = {
  'my_v3.py': 'mindcv_inception_v3',
  'my_v4.py': 'mindspore_inception_v4',
}
PAGE = '# Title\n\n<!-- make migration -->\nold\n<!-- end -->\n\nAfter.\n'


def bench_in(tmp_path):
  return Bench(tmp_path, tmp_path, 'python', 'python', {})


def row_of(check, **changes):
  command = 'main.py --config=digits --workdir=run'
  features, results = ('training', '训练'), ('{n} images', '{n} 张图像')
  return Row('MindCV', features, command, check, results, **changes)


def run(monkeypatch, tmp_path, row, status=0, stdout='', stderr=''):
  """Runs a row whose command does this."""
  done = subprocess.CompletedProcess([], status, stdout, stderr)
  monkeypatch.setattr(migration_rows.subprocess, 'run', lambda *a, **k: done)
  return migration_rows.run_row(row, bench_in(tmp_path))


def test_facts_are_those_of_the_result_and_the_log(monkeypatch, tmp_path):
  def check(bench, done):
    done.said('evaluated')
    return {'n': done.result['count']}

  row = row_of(check)
  results = 'a line\n{"count": 7}\n'
  log = 'evaluated 7 images'
  assert run(monkeypatch, tmp_path, row, 0, results, log) == {'n': 7}
  with pytest.raises(Wrong, match='the log lacks'):
    run(monkeypatch, tmp_path, row, 0, results, 'nothing')
  with pytest.raises(Wrong, match='exit status 1: killed'):
    run(monkeypatch, tmp_path, row, 1, results, 'killed')
  with pytest.raises(Wrong, match='exit status 0'):
    run(monkeypatch, tmp_path, row_of(check, status=2), 0, results, log)


def test_predictions_must_be_the_same():
  agreement = migration_checks.agreement
  assert agreement(['a', 'b'], ['a', 'b']) == {'same': 2, 'count': 2}
  with pytest.raises(Wrong, match='only 1 of 2'):
    agreement(['a', 'b'], ['a', 'c'])
  assert agreement(['a', 'b'], ['a', 'c'], least=0.5)['same'] == 1
  with pytest.raises(Wrong, match='number of predictions'):
    agreement(['a', 'b'], ['a', 'b', 'c'])
  with pytest.raises(Wrong, match='all predictions are'):
    agreement(['a', 'a'], ['a', 'a'])


@pytest.mark.parametrize(
  'check, result, log',
  [
    (migration_checks.trained, {'step': 19, 'loss': 1.0}, 'of 2 classes'),
    (migration_checks.trained, {'step': 20, 'loss': math.inf}, 'of 2 classes'),
    (migration_checks.trained, {'step': 20, 'loss': 1.0}, 'of 2 classes: (0)'),
    (migration_checks.exported, {'max_abs_diff': 2e-3}, ''),
    (migration_checks.exported, {'max_abs_diff': float('nan')}, ''),
    (migration_checks.evaluated, {'top1': 0.5, 'top5': 0.4}, ''),
    (
      migration_checks.migrated,
      {
        'mapped': dict.fromkeys(range(20)),
        'without_counterpart': {},
        'refused': {'vflip': ''},
      },
      '',
    ),
    (migration_checks.refused(2, '--config.seed'), {}, 'x; here it is y'),
    (migration_checks.refused(1, '--config.seed'), {}, 'x; here it is y'),
  ],
)
def test_wrong_results_are_noticed(tmp_path, check, result, log):
  if 'classes' in log:
    log = f'folder: 6 images {log}'
  with pytest.raises(Wrong):
    check(bench_in(tmp_path), Done(0, result, log))


def test_only_what_is_between_the_markers_changes():
  page = migration.replaced(PAGE, ['| new |', 'line'])
  assert page == PAGE.replace('old\n', '\n| new |\nline\n\n')
  assert migration.replaced(page, ['| new |', 'line']) == page
  for wrong in (PAGE.replace('<!-- end -->', ''), PAGE + PAGE, 'no marker'):
    with pytest.raises(ValueError, match='expected one'):
      migration.replaced(wrong, [])


def test_both_languages_have_the_facts():
  rows = [(row_of(None), {'n': 200})]
  command = '`main.py --config=digits --workdir=run`'
  assert migration.lines(rows, 0)[2:] == [
    f'| MindCV | training | {command} | 200 images |'
  ]
  assert migration.lines(rows, 1)[2:] == [
    f'| MindCV | 训练 | {command} | 200 张图像 |'
  ]


@pytest.mark.parametrize('row', migration.ROWS, ids=lambda row: row.key)
def test_commands_of_the_rows_parse(row):
  text = row.command
  for name, recipe in _WRITTEN.items():
    if f'--output={name}' not in text:
      text = text.replace(name, recipe)
  program, *arguments = shlex.split(text)
  if program.startswith('tools.'):
    words = ['python', '-m', f'inception_jax.{program}', *arguments]
  elif program == 'main.py':
    words = ['python', program, *arguments]
  else:
    words = [program, *arguments]
  faults = page_commands.faults(words)
  # Flags of other systems, which the command must refuse.
  assert bool(faults) == (row.result == migration_checks.REFUSED)


@pytest.mark.parametrize('name', migration.PAGES)
def test_the_page_has_every_row(name):
  page = (ROOT / name).read_text()
  table = page.partition('<!-- make migration -->')[2].splitlines()
  begins = [
    f'| {row.system} | {row.feature[migration.PAGES[name]]} | `{row.command}` |'
    for row in migration.ROWS
  ]
  found = [
    [i for i, begin in enumerate(begins) if line.startswith(begin)]
    for line in table
    if line.startswith('| ')
  ][1:]
  assert found == [[i] for i in range(len(migration.ROWS))]
