"""Compiles every ImageNet recipe for TPUs, with each kind of BatchNorm.

  make compile-check                           # and benchmarks/compile.md
  make compile-check ARGS='--topologies=v5e:2x4,v5e:16x16'
  make compile-check ARGS='--recipes=inception_v4'

By default for eight v5e chips: 18 compilations of minutes, two hours on two
cores. libtpu compiles on one core, so that as many processes run as there are
cores. Each appends a row to benchmarks/compile.csv; the page is written from
all rows. Exit status 1 if a recipe does not compile, does not fit in a chip's
memory, needs a collective other than all-reduce, or, with batch_norm=replica,
more than three all-reduces: for gradients, statistics and metrics.
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

MAX_ALL_REDUCES = 3
SLOWEST = 5
LEDGER = commands.ROOT / 'benchmarks' / 'compile.csv'
PAGE = LEDGER.with_suffix('.md')
_COLUMNS = (
  'recipe',
  'chips',
  'BatchNorm',
  'precision',
  'images per chip',
  'GFLOP per image',
  'HBM MB per image',
  'estimated step ms',
  'estimated MFU',
  'HBM ms',
  'collective ms',
  'peak memory GB',
  'of HBM',
  'all-reduces',
  'all-reduced MB',
  'scaling efficiency at 8, 64, 256 chips',
  'compile s',
)
_EXPLAINED = """\
Training steps compiled ahead of time by libtpu, without a TPU. All figures are
estimates from the compiled program (`inception_jax/aot/hlo_costs.py`); none has
been measured on a TPU.

- FLOPs are those of the step before optimization by XLA. HBM bytes are the
  operands and results of all instructions that are not in VMEM, with padding.
- The estimated step time is the sum of the compiler's cycle estimates; MFU is
  the step's FLOPs in that time as a fraction of the bfloat16 peak. **Not
  included** are operations without an estimate: asynchronous copies and slices,
  which overlap with computation, collectives, select-and-scatter (the gradient
  of a max pool) and scalar operations; the ledger lists them with their bytes
  as `not_estimated`. Input, launches and waiting for the host are not included
  either.
- "HBM ms" is the time of all HBM traffic at the published bandwidth. It is a
  lower bound of the step time.
- "collective ms" is computed: each chip sends 2 (n − 1)/n of the bytes over all
  its links at their published bandwidth (two links for each torus axis that
  wraps around, else one), and each collective adds the latency to the farthest
  chip and back, at 1 µs a hop. Weak-scaling efficiency is step / (step +
  collectives) at constant images per chip. It assumes no overlap with
  computation, which makes it too low, and links at full bandwidth and a
  constant step time, which is not verified.
- Peak memory is arguments, results, temporaries and program; a chip has 16 GiB.
- Compile times are from a machine that ran other jobs, too.
"""


def imagenet_recipes() -> list[str]:
  """Returns the recipes that train on ImageNet."""
  return [
    name
    for name, values in recipes.resolved().items()
    if values.get('data.source') == 'tfds:imagenet2012'
  ]


def compile_one(topology: str, recipe: str, batch_norm: str) -> list[str]:
  """Compiles a recipe, appends to the ledger and returns what is wrong."""
  case = f'{recipe} on {topology} with batch_norm={batch_norm}'
  print(f'compiling {case}', file=sys.stderr, flush=True)
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
    return [f'{case}: does not compile (status {done.returncode})']
  result = json.loads(done.stdout.splitlines()[-1])
  return [f'{case}: {fault}' for fault in faults(result)]


def faults(result: dict) -> list[str]:
  """Returns the limits that a compiled step exceeds."""
  lines = []
  if result['hbm_share'] > 1:
    lines.append(f'needs {result["hbm_share"]:.0%} of a chip’s memory')
  for kind, total in result['collectives'].items():
    if kind != 'all-reduce':
      lines.append(
        f'{total["count"]} × {kind} of {total["bytes"] / 1e6:.1f} MB'
      )
  count = result['collectives'].get('all-reduce', {'count': 0})['count']
  if result['batch_norm'] == 'replica' and count > MAX_ALL_REDUCES:
    lines.append(f'{count} all-reduces, expected at most {MAX_ALL_REDUCES}')
  return lines


def latest_rows() -> list[dict]:
  """Returns the ledger's last row for each step without remat."""
  with open(LEDGER, newline='') as file:
    rows = [row for row in csv.DictReader(file) if row['remat'] == 'False']
  keys = ('config', 'topology', 'batch_norm', 'batch_size', 'step')
  return list({tuple(row[k] for k in keys): row for row in rows}.values())


def table_row(row: dict) -> str:
  """Formats a row of the ledger as a row of the page's table."""
  devices, batch = int(row['devices']), int(row['batch_size'])
  all_reduces = json.loads(row['collectives']).get(
    'all-reduce', {'count': 0, 'bytes': 0}
  )
  cells = [
    recipe_name(row),
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
    all_reduces['count'],
    f'{all_reduces["bytes"] / 1e6:.1f}',
    ', '.join(f'{x:.1%}' for x in json.loads(row['efficiency']).values()),
    f'{float(row["compile_seconds"]):.0f}',
  ]
  return f'| {" | ".join(map(str, cells))} |'


def slowest_operations(row: dict) -> str:
  """Lists the slowest operations of a step in a line."""
  operations = [
    f'{op["layer"] or "outside the network"} {op["operation"]} '
    f'{op["pass"]} {op["ms"]:.2f} ms ({op["share"]:.1%})'
    for op in json.loads(row['slowest'])[:SLOWEST]
  ]
  return (
    f'slowest in {recipe_name(row)}, {row["topology"]}, {row["batch_norm"]}: '
    + '; '.join(operations)
  )


def recipe_name(row: dict) -> str:
  """Returns 'inception_v4' for configs/inception_v4.py."""
  return row['config'].removeprefix('configs/').removesuffix('.py')


def write_page() -> None:
  """Writes the page from the ledger."""
  rows = latest_rows()
  last = rows[-1]
  rows.sort(key=lambda r: (int(r['devices']), recipe_name(r), r['batch_norm']))
  text = table.page(
    '# Recipes compiled for TPUs',
    f'`make compile-check` on {last["machine"]}.',
    _EXPLAINED,
    list(_COLUMNS),
    [table_row(row) for row in rows],
    [*map(slowest_operations, rows), f'versions: {last["versions"]}'],
  )
  PAGE.write_text(text)


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--recipes', default=','.join(imagenet_recipes()))
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
    results = pool.map(lambda step: compile_one(*step), steps)
    found = list(itertools.chain.from_iterable(results))
  write_page()
  for fault in found:
    print(f'error: {fault}', file=sys.stderr)
  print(json.dumps({'faults': found}))
  return 1 if found else 0


if __name__ == '__main__':
  sys.exit(main())
