"""Compares every network with other frameworks' implementations.

  make parity                    # prints a table, writes benchmarks/parity.md
  make parity CLONES=DIR         # also runs networks that no package contains
  make parity ARGS=--golden      # rewrites tests/parity/golden
  make parity ARGS=--only=timm   # only cases whose name contains 'timm'

Each framework runs in a process and an environment of its own (reference.py),
computes its weights by formula, and saves them as its users do; the file is
then imported as usual. Networks that no package contains need a clone:
DIR/pytorch-cifar100 of weiaicunzai/pytorch-cifar100, DIR/models of
mindspore-ai/models. Without it, they are compared with tests/parity/golden. The
exit status is 1 if a difference exceeds its bound.
"""

import argparse
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np

from inception_jax.export import mindir
from inception_jax.runtime import cli
from inception_jax.weights import exporter
from inception_jax.weights import importer
from inception_jax.weights import pretrained
from tests.parity import cases
from tests.parity import compare
from tests.parity import formula
from tests.parity import table
from tests.support.malicious_pickle import check_import_is_refused

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
ENVIRONMENTS = {
  'mindcv': '.venv-mindspore',
  'mindspore': '.venv-mindspore',
  'slim': '.venv-slim',
}
MAX_ERROR_LINES = 12  # of stderr, in the message of a failed program


def python_of(case: cases.Case) -> str:
  folder = ENVIRONMENTS.get(case.source)
  return str(ROOT / folder / 'bin' / 'python') if folder else sys.executable


def run(*command: str, env=None) -> str:
  """Runs a program; returns its stdout, or raises a RuntimeError."""
  done = subprocess.run(
    command, cwd=ROOT, env=env, capture_output=True, text=True
  )
  if done.returncode:
    tail = '\n'.join(done.stderr.splitlines()[-MAX_ERROR_LINES:])
    raise RuntimeError(f'{" ".join(command[1:])} failed:\n{tail}')
  return done.stdout


def result_of(*command: str) -> dict:
  """Runs a command of this project; returns its result."""
  return json.loads(run(sys.executable, *command).splitlines()[-1])


@functools.cache
def _environment(folder: str, python: str) -> dict[str, str] | None:
  # On some CPUs, MindSpore's convolutions are 100 times slower without it.
  return mindir.environment(python) if 'mindspore' in folder else None


def run_reference(case: cases.Case, size: int, clone: str, out, **flags):
  """Runs reference.py with `flags`, in the environment of the case."""
  python = python_of(case)
  run(
    python,
    str(HERE / 'reference.py'),
    f'--case={case.name}',
    f'--size={size}',
    f'--clone={clone}',
    f'--out={out}',
    *(f'--{name}={value}' for name, value in flags.items()),
    env=_environment(ENVIRONMENTS.get(case.source, ''), python),
  )


def live(case: cases.Case, size: int, clone: str, folder) -> table.Row:
  """Runs a framework, imports its file, and compares the networks."""
  out, file = folder / 'out.npz', folder / f'weights{case.suffix}'
  run_reference(case, size, clone, out, save=file)
  weights = importer.load(str(file))
  source = compare.source_of(case)
  expected = f'{source.framework} {source.network_name}'
  assert weights.origin == expected, (weights.origin, expected)
  with np.load(out) as reference:
    found = compare.differences(case, weights, reference, size, rounding=True)
  return table.Row(source, size, 'live', found)


def from_golden(case: cases.Case) -> table.Row:
  """Compares with the case's golden file."""
  size = case.golden
  with np.load(compare.golden_path(case)) as golden:
    weights = compare.weights_of(case, golden)
    found = compare.differences(case, weights, golden, size, rounding=True)
  return table.Row(compare.source_of(case), size, 'golden', found)


def as_mindir(case: cases.Case, folder) -> table.Row:
  """Exports the network of the case's golden file; compares the logits."""
  size, path = case.golden, str(folder / 'network.mindir')
  python = str(ROOT / ENVIRONMENTS['mindspore'] / 'bin' / 'python')
  images = formula.images(case.batch, size)
  with np.load(compare.golden_path(case)) as golden:
    weights = exporter.without_aux(compare.weights_of(case, golden))
    logits, _ = mindir.save(weights, path, 0, python, images)
    if weights.network.head_batch_norm:  # as in `compare.evaluation`
      logits = np.asarray(jax.nn.log_softmax(logits))
    found = {'mindir': compare.relative(logits, golden['eval'])}
  return table.Row(compare.source_of(case), size, 'golden, as MINDIR', found)


def round_trip(case: cases.Case, folder) -> table.Row:
  """Imports, evaluates, exports, loads in the framework; compares logits."""
  size, file = cases.FULL, folder / f'weights{case.suffix}'
  first, last = folder / 'first.npz', folder / 'last.npz'
  run_reference(case, size, '', first, save=file)
  imported = folder / 'imported'
  result_of(
    '-m',
    'inception_jax.tools.import_weights',
    f'--weights={file}',
    f'--output={imported}',
  )
  evaluated = result_of(
    'main.py',
    '--mode=eval',
    '--config=configs/inception_v4.py',
    f'--workdir={imported}',
    f'--config.model.name={case.network}',
    f'--config.model.num_classes={cases.NUM_CLASSES}',
    f'--config.model.aux_head={case.aux_head}',
    '--config.data.source=synthetic',
    '--config.precision=float32',
  )
  assert evaluated['count'] == 64, evaluated

  def logits_of_export(file_format, path) -> np.ndarray:
    """Exports the network, and returns the framework's logits for the file."""
    result_of(
      '-m',
      'inception_jax.tools.export',
      f'--workdir={imported}',
      f'--format={file_format}',
      f'--output={path}',
    )
    run_reference(case, size, '', last, load=path)
    with np.load(last) as reference:
      return reference['eval']

  model, variables, _ = pretrained.load_pretrained(str(imported))
  logits, _ = model.apply(variables, formula.images(case.batch, size))
  with np.load(first) as reference:
    before = reference['eval']
  after = logits_of_export(case.source, folder / f'back{case.suffix}')
  found = {
    'eval': compare.relative(logits, before),
    'back': compare.relative(after, before),
  }
  if case.source == 'mindcv':
    after = logits_of_export('mindir', folder / 'back.mindir')
    found['mindir'] = compare.relative(after, before)
  loss, count = evaluated['loss'], evaluated['count']
  how = f'round trip; evaluated: loss {loss:.4f} over {count}'
  return table.Row(compare.source_of(case), size, how, found)


def clone_of(case: cases.Case, clones: str) -> str:
  """Returns the folder of the case's repository; '' if there is none."""
  name = case.clone.split('/')[-1]
  return str(pathlib.Path(clones) / name) if name and clones else ''


def jobs(chosen: list[cases.Case], clones: str):
  """Yields the name of each row and the function that computes it."""
  for case in chosen:
    if case.mindir:
      yield f'{case.name} as MINDIR', functools.partial(as_mindir, case)
    clone = clone_of(case, clones)
    if case.clone and not clone:
      yield f'{case.name} {case.golden}', lambda _, c=case: from_golden(c)
      continue
    for size in case.sizes:
      yield f'{case.name} {size}', functools.partial(live, case, size, clone)
    if case.exports:
      yield f'{case.name} round trip', functools.partial(round_trip, case)


def write_golden(chosen: list[cases.Case], clones: str) -> None:
  for case in chosen:
    clone = clone_of(case, clones)
    if case.clone and not clone:
      print(f'{case.name} is not rewritten: set CLONES=', file=sys.stderr)
      continue
    print(f'{case.name} {case.golden}', file=sys.stderr, flush=True)
    run_reference(case, case.golden, clone, compare.golden_path(case))


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--only', default='', help='part of the names of cases')
  parser.add_argument('--clones', default='', help='a folder of repositories')
  parser.add_argument('--golden', action='store_true')
  args = parser.parse_args()
  chosen = [case for case in cases.CASES if args.only in case.name]
  if args.golden:
    write_golden(chosen, args.clones)
    return 0

  cli.use_compilation_cache()
  todo, begin = list(jobs(chosen, args.clones)), time.time()
  rows, failed = [], []
  with tempfile.TemporaryDirectory() as folder:
    notes = [check_import_is_refused(pathlib.Path(folder))]
  for i, (name, job) in enumerate(todo):
    left = (time.time() - begin) / i * (len(todo) - i) if i else None
    time_left = f', about {left / 60:.0f} min left' if left else ''
    print(
      f'{i + 1} of {len(todo)}: {name}{time_left}', file=sys.stderr, flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
      try:
        row = job(pathlib.Path(folder))
      except Exception as error:  # the other rows still run
        failed.append(f'FAILED {name}: {error}')
        print(f'error: {failed[-1]}', file=sys.stderr, flush=True)
        continue
    print(table.line(row), file=sys.stderr, flush=True)
    rows.append(row)
  over = [row for row in rows if table.over(row)]
  pythons = sorted({python_of(case) for case in chosen})
  command = 'make parity' + ' CLONES=DIR' * bool(args.clones)
  text = table.write(command, rows, [*notes, *failed], pythons)
  print(text)
  if not args.only:
    (ROOT / 'benchmarks' / 'parity.md').write_text(text)
  return 1 if over or failed else 0


if __name__ == '__main__':
  os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  sys.exit(main())
