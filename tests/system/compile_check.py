"""Compiles every ImageNet recipe for eight v5e, as it is and by replica.

  make compile-check                           # and benchmarks/compile.md
  make compile-check ARGS='--topologies=v5e:2x4,v5e:16x16'
  make compile-check ARGS='--recipes=inception_v4'

A process for each, minutes long, 18 for the whole (two hours on two cores), and
as many at once as there are cores, since libtpu compiles on one. Each adds its
line to benchmarks/compile.csv as it ends, and the page is made from all of
those. Exit status 1 if a recipe does not compile, does not fit in a
chip's memory, or exchanges more than gradients, statistics and metrics where
BatchNorm is by replica: three all-reduces; or if chips gather what each should
keep to itself.
"""

import argparse
from concurrent import futures
import csv
import itertools
import json
import os
import subprocess
import sys

from tests.parity import table
from tests.support import commands
from tests.support import recipes

MOST_REDUCTIONS = 3
SLOWEST = 5
LEDGER = commands.ROOT / 'benchmarks' / 'compile.csv'
PAGE = LEDGER.with_suffix('.md')
_COLUMNS = (
  'recipe',
  'chips',
  'BatchNorm',
  'precision',
  'images a chip',
  'GFLOP an image',
  'HBM MB an image',
  'step ms, estimated',
  'of the peak, estimated',
  'HBM ms',
  'exchange ms',
  'memory GB',
  'of a chip',
  'all-reduces',
  'MB',
  'efficiency at 8, 64, 256',
  'compiled in s',
)
_EXPLAINED = """\
No TPU was there: libtpu compiled the training step, and this is read from the
program (`inception_jax/aot/hlo_costs.py`). None of it has been measured.

- FLOPs are those of the step as it is written; HBM bytes are the operands and
  results of every instruction that lie outside VMEM, tiles filled up.
- The step's time is the sum of the cycles that the compiler estimates for each
  fusion, and its share of the bfloat16 peak follows from it. **Left out** are
  what the compiler gives no estimate for: asynchronous copies and slices, which
  go on beside the computation, collectives, select-and-scatter (the gradient of
  a max pool) and numbers apart; the ledger has each with its bytes, as
  `not_estimated`. Left out, too, is all that only a run shows: waiting for the
  host, input, launching.
- "HBM ms" is all of the traffic at the published rate: where it is more than
  the estimate, memory decides, and the step takes at least that long.
- "exchange ms" is what the collectives take on paper: each chip sends
  2 (n − 1)/n of the bytes over all its links at their published rate (two an
  axis of the torus where that is a ring, else one), and each collective has the
  way to the farthest chip and back at 1 µs a hop. The efficiency of weak
  scaling is step / (step + exchange) at as many images a chip: as if nothing
  were exchanged beside the computation, which makes it too low, and as if links
  gave all of their rate and the step took no longer, neither of which is known.
- Memory is arguments, results, temporaries and program, of a chip's 16 GiB.
- Compile times are of a machine that others used, too.
"""


def imagenet() -> list[str]:
  """Recipes that train on ImageNet."""
  return [
    name
    for name, values in recipes.resolved().items()
    if values.get('data.source') == 'tfds:imagenet2012'
  ]


def compile_one(topology: str, recipe: str, batch_norm: str) -> list[str]:
  """Compiles one, notes it in the ledger; what is wrong with it."""
  what = f'{recipe} on {topology} with batch_norm={batch_norm}'
  print(what, file=sys.stderr, flush=True)
  done = subprocess.run(
    [
      sys.executable,
      '-m',
      'inception_jax.tools.compile',
      f'--config=configs/{recipe}.py',
      f'--topology={topology}',
      f'--config.batch_norm={batch_norm}',
      f'--ledger={LEDGER}',
    ],
    cwd=commands.ROOT,
    stdout=subprocess.PIPE,
    text=True,
  )
  if done.returncode:
    return [f'{what}: does not compile (status {done.returncode})']
  found = json.loads(done.stdout.splitlines()[-1])
  return [f'{what}: {fault}' for fault in faults(found)]


def faults(found: dict) -> list[str]:
  """What is wrong with a compiled step."""
  lines = []
  if found['hbm_share'] > 1:
    lines.append(f'needs {found["hbm_share"]:.0%} of a chip’s memory')
  for kind, exchanged in found['collectives'].items():
    if kind != 'all-reduce':
      lines.append(
        f'{exchanged["count"]} × {kind} of {exchanged["bytes"] / 1e6:.1f} MB'
      )
  count = found['collectives'].get('all-reduce', {'count': 0})['count']
  if found['batch_norm'] == 'replica' and count > MOST_REDUCTIONS:
    lines.append(f'{count} all-reduces, at most {MOST_REDUCTIONS} are right')
  return lines


def newest() -> list[dict]:
  """The last line of the ledger for each step, by recipe. None has remat."""
  with open(LEDGER, newline='') as file:
    rows = [row for row in csv.DictReader(file) if row['remat'] == 'False']
  keys = ('config', 'topology', 'batch_norm', 'batch_size', 'step')
  return list({tuple(row[k] for k in keys): row for row in rows}.values())


def line(row: dict) -> str:
  """Of the page's table."""
  devices, batch = int(row['devices']), int(row['batch_size'])
  reductions = json.loads(row['collectives']).get(
    'all-reduce', {'count': 0, 'bytes': 0}
  )
  cells = [
    recipe_of(row),
    row['topology'],
    row['batch_norm'],
    row['precision'],
    f'{batch / devices:g}',
    f'{float(row["flops_per_image"]) / 1e9:.1f}',
    f'{float(row["hbm_bytes_per_image"]) / 1e6:.0f}',
    f'{float(row["estimated_step_ms"]):.1f}',
    f'{float(row["estimated_mfu"]):.1%}',
    f'{float(row["hbm_ms"]):.1f}',
    f'{float(row["exchange_ms"]):.2f}',
    f'{int(row["peak_hbm_bytes"]) / 1e9:.2f}',
    f'{float(row["hbm_share"]):.0%}',
    reductions['count'],
    f'{reductions["bytes"] / 1e6:.1f}',
    ', '.join(f'{x:.1%}' for x in json.loads(row['efficiency']).values()),
    f'{float(row["compile_seconds"]):.0f}',
  ]
  return f'| {" | ".join(map(str, cells))} |'


def slowest(row: dict) -> str:
  """The slowest operations of a step, in a line."""
  found = json.loads(row['slowest'])[:SLOWEST]
  each = [
    f'{op["layer"] or "outside of the network"} {op["operation"]} '
    f'{op["pass"]} {op["ms"]:.2f} ms ({op["share"]:.1%})'
    for op in found
  ]
  return (
    f'slowest of {recipe_of(row)}, {row["topology"]}, {row["batch_norm"]}: '
    + '; '.join(each)
  )


def recipe_of(row: dict) -> str:
  """'inception_v4' of its file's path."""
  return row['config'].removeprefix('configs/').removesuffix('.py')


def write() -> None:
  """The page, from the ledger."""
  rows = newest()
  last = rows[-1]
  rows.sort(key=lambda r: (int(r['devices']), recipe_of(r), r['batch_norm']))
  text = table.page(
    '# Compiled for TPUs',
    f'`make compile-check` on {last["machine"]}.',
    _EXPLAINED,
    list(_COLUMNS),
    [line(row) for row in rows],
    [*map(slowest, rows), f'versions: {last["versions"]}'],
  )
  PAGE.write_text(text)


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--recipes', default=','.join(imagenet()))
  parser.add_argument('--topologies', default='v5e:2x4')
  parser.add_argument(
    '--processes', type=int, default=len(os.sched_getaffinity(0))
  )
  args = parser.parse_args()
  steps = itertools.product(
    filter(None, args.topologies.split(',')),
    args.recipes.split(','),
    ('global', 'replica'),
  )
  with futures.ThreadPoolExecutor(args.processes) as pool:
    wrong = list(
      itertools.chain.from_iterable(
        pool.map(lambda step: compile_one(*step), steps)
      )
    )
  write()
  for fault in wrong:
    print(f'error: {fault}', file=sys.stderr)
  print(json.dumps({'faults': wrong}))
  return 1 if wrong else 0


if __name__ == '__main__':
  sys.exit(main())
