"""Runs what the users of four systems run, on real data, and says what came.

  make migration DATA=DIR PHOTOS=DIR CLONES=DIR    # 25 minutes on two cores

DATA has CIFAR-10's images as files, in train/CLASS and test/CLASS; PHOTOS one
photograph of ImageNet for each of some classes, named SYNSET_NAME.JPEG; CLONES
the repositories pytorch-cifar100 of weiaicunzai, mindcv of mindspore-lab and
models of mindspore-ai. Lays the images out as each system has them, runs each
row of migration_{deepspark,mindspore,mindcv,cifar}.py, and compares what it did
with what it must do. Writes the table into docs/migration.md and its Chinese
page, if every row is right; the exit status is 1 if one is not. A run that was
interrupted goes on behind its last right row.

  make migration … ARGS=--only=TFRecord    # rows whose system, feature or
                                           # command contains it; no table
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

from inception_jax import errors
from inception_jax.export import mindir
from inception_jax.runtime import hardware
from tests.parity import migration_cifar
from tests.parity import migration_deepspark
from tests.parity import migration_layouts
from tests.parity import migration_mindcv
from tests.parity import migration_mindspore
from tests.parity import table
from tests.parity.migration_rows import Bench
from tests.parity.migration_rows import Row
from tests.parity.migration_rows import Wrong
from tests.parity.migration_rows import run_row
from tests.support.commands import ROOT

FOLDER = ROOT / 'runs' / 'migration'
PAGES = {'docs/migration.md': 0, 'docs/zh/migration.md': 1}
ROWS = (
  *migration_deepspark.ROWS,
  *migration_mindspore.ROWS,
  *migration_mindcv.ROWS,
  *migration_cifar.ROWS,
)
_BEGIN, _END = '<!-- make migration -->', '<!-- end -->'
_COLUMNS = (
  ('system', 'feature', 'command', 'result'),
  ('系统', '功能', '命令', '结果'),
)
_NOTES = (
  'On {machine}, {day}; {versions}.',
  '环境：{machine}，{day}；{versions}。',
)


def lines(rows: list[tuple[Row, dict]], language: int) -> list[str]:
  """Formats the table; `language` is 0 for English, 1 for Chinese."""
  found = [
    f'| {" | ".join(_COLUMNS[language])} |',
    f'|{"---|" * len(_COLUMNS[language])}',
  ]
  for row, facts in rows:
    command = row.command.replace('|', '\\|')
    said = row.result[language].format(**facts)
    cells = [row.system, row.feature[language], f'`{command}`', said]
    found.append(f'| {" | ".join(cells)} |')
  return found


def replaced(page: str, content: list[str]) -> str:
  """Returns a page with other lines between its two markers.

  Raises:
    ValueError: it has not one pair of markers.
  """
  pattern = f'(?<={re.escape(_BEGIN)}\n).*?(?={re.escape(_END)})'
  text = '\n'.join(['', *content, '', ''])
  result, count = re.subn(pattern, lambda _: text, page, flags=re.S)
  if count != 1 or page.count(_BEGIN) != 1:
    raise ValueError(f'expected one {_BEGIN} and one {_END}')
  return result


def write_pages(rows: list[tuple[Row, dict]]) -> None:
  """Writes the table into both pages."""
  values = {
    'machine': hardware.machine(),
    'day': time.strftime('%Y-%m-%d'),
    'versions': '; '.join(
      table.versions(str(ROOT / name / 'bin' / 'python'))
      for name in ('.venv', '.venv-torch', '.venv-mindspore')
    ),
  }
  for name, language in PAGES.items():
    path = ROOT / name
    note = _NOTES[language].format(**values)
    content = [*lines(rows, language), '', note]
    path.write_text(replaced(path.read_text(), content))


def bench_of(args) -> Bench:
  """Returns the bench, with its data laid out."""
  if args.fresh:
    shutil.rmtree(FOLDER, ignore_errors=True)
  mindspore = str(ROOT / '.venv-mindspore' / 'bin' / 'python')
  bench = Bench(
    FOLDER,
    pathlib.Path(args.clones).resolve(),
    str(ROOT / '.venv-torch' / 'bin' / 'python'),
    mindspore,
    mindir.environment(mindspore),
  )
  if not FOLDER.exists():
    print('laying out the images', file=sys.stderr, flush=True)
    unfinished = FOLDER.with_name('migration.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    migration_layouts.write(
      pathlib.Path(args.data), pathlib.Path(args.photos), unfinished
    )
    unfinished.rename(FOLDER)
  link = FOLDER / '.venv-mindspore'  # as in the folder of the project
  if not link.is_symlink():
    link.symlink_to(ROOT / '.venv-mindspore')
  return bench


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  for name in ('data', 'photos', 'clones'):
    parser.add_argument(f'--{name}', required=True, help='see above')
  parser.add_argument('--only', default='', help='part of a row')
  parser.add_argument('--fresh', action='store_true', help='from the start')
  args = parser.parse_args()
  bench = bench_of(args)
  record = FOLDER / 'done.json'
  done = json.loads(record.read_text()) if record.exists() else {}
  wrong, begin, number = 0, time.time(), 0
  for i, row in enumerate(ROWS, 1):
    text = f'{row.system} {row.feature[0]} {row.command}'
    if row.key in done or args.only not in text:
      continue
    try:
      facts = run_row(row, bench)
      said = row.result[0].format(**facts)
    except (Wrong, subprocess.SubprocessError, OSError, KeyError) as error:
      wrong += 1
      said = f'WRONG: {errors.one_line(error)}'
    else:
      # Another process may run other rows.
      done = json.loads(record.read_text()) if record.exists() else {}
      done[row.key] = facts
      record.write_text(json.dumps(done))
    number += 1
    left = (time.time() - begin) / number * (len(ROWS) - i) / 60
    print(
      f'{i} of {len(ROWS)}: {row.system}, {row.feature[0]}: {said} '
      f'({left:.0f} min left)',
      file=sys.stderr,
      flush=True,
    )
  if wrong or args.only:
    print(f'{wrong} rows are wrong; no table is written', file=sys.stderr)
    return int(bool(wrong))
  write_pages([(row, done[row.key]) for row in ROWS])
  shutil.rmtree(FOLDER)  # the next run measures everything again
  return 0


if __name__ == '__main__':
  os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  sys.exit(main())
