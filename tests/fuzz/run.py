"""Fuzzes every reader of files and messages that others wrote.

  make fuzz                                    # and benchmarks/fuzz.md
  make fuzz ARGS='--seconds=20 --targets=archive,labels'

Each target of tests/fuzz/targets.py is fuzzed by atheris, one on each core at
a time. The corpus and the findings, an input and its traceback each, are in
runs/fuzz; a later run starts with that corpus. Exit status 1 if there are
findings. benchmarks/fuzz.md is written if all targets ran.
"""

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import time

from inception_jax.runtime import hardware
from tests.fuzz import bounds
from tests.fuzz import targets
from tests.parity import table
from tests.support.commands import ROOT

_FOLDER = ROOT / 'runs' / 'fuzz'
_MAX_INPUT = 2**14  # bytes
_SLACK = 120  # seconds for imports and the last input
_FLAGS = (
  f'-max_len={_MAX_INPUT}',
  '-timeout=60',
  '-rss_limit_mb=6000',
  '-print_final_stats=1',
  '-close_fd_mask=1',
)
_EXPLAINED = f"""\
Each input may raise only the documented error, and must not use more than
{bounds.MAX_SECONDS:g} s of CPU time or {bounds.MAX_GROWTH >> 20} MB of memory,
or change a file outside of its folder; a crash of the process is a finding,
too. An archive's headers get right checksums, a checkpoint's record and a
process's message right digests, so that mutations get past them. Inputs have
up to {_MAX_INPUT >> 10} kB. Executions include a run of all readers of a
target; memory is that of the whole process, libraries included.
"""


def fuzz(name: str, seconds: int) -> tuple[str, int]:
  """Fuzzes a target; returns its row of the table, and how many findings."""
  folder = _FOLDER / name
  corpus, findings = folder / 'corpus', folder / 'findings'
  shutil.rmtree(findings, ignore_errors=True)
  for path in (corpus, findings):
    path.mkdir(parents=True, exist_ok=True)
  done = subprocess.run(
    [
      *(sys.executable, '-m', 'tests.fuzz.one', name, str(folder)),
      *_FLAGS,
      f'-max_total_time={seconds}',
    ],
    cwd=ROOT,
    env={**os.environ, 'TQDM_DISABLE': '1', 'TF_CPP_MIN_LOG_LEVEL': '3'},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    timeout=10 * seconds + _SLACK,
  )
  log = done.stderr.decode(errors='replace')
  (folder / 'log').write_text(log)
  stats = dict(re.findall(r'stat::(\w+):\s+(\d+)', log))
  seconds_run = re.findall(r'Done \d+ runs in (\d+) second', log)
  count = len([path for path in findings.iterdir() if path.suffix != '.txt'])
  if done.returncode and not count:  # it ended without an input
    count = 1
  sizes = [path.stat().st_size for path in corpus.iterdir()]
  cells = [
    name,
    stats.get('number_of_executed_units', '–'),
    *(seconds_run or ['–']),
    f'{len(sizes)} files, {sum(sizes) / 1000:.0f} kB',
    f'{stats.get("peak_rss_mb", "–")} MB',
    f'**{count}**' if count else '0',
  ]
  row = f'| {" | ".join(cells)} |'
  print(f'{time.ctime()} {row}', file=sys.stderr, flush=True)
  return row, count


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--seconds', type=int, default=600, help='per target')
  parser.add_argument('--targets', default=','.join(targets.TARGETS))
  args = parser.parse_args()
  names = args.targets.split(',')
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    results = list(pool.map(lambda name: fuzz(name, args.seconds), names))
  rows, counts = zip(*results, strict=True)
  text = table.page(
    '# Fuzzing: hostile files and messages',
    f'`make fuzz` on {hardware.machine()}, {time.strftime("%Y-%m-%d")}.',
    _EXPLAINED,
    ['target', 'executions', 'seconds', 'corpus', 'memory', 'findings'],
    rows,
    [table.versions(sys.executable)],
  )
  print(text)
  if set(names) == targets.TARGETS.keys():
    (ROOT / 'benchmarks' / 'fuzz.md').write_text(text)
  if sum(counts):
    print(f'inputs and tracebacks are in {_FOLDER}', file=sys.stderr)
  return 1 if sum(counts) else 0


if __name__ == '__main__':
  sys.exit(main())
