"""Measures training, inference and input on one GPU, a row at a time.

python -m benchmarks.gpu --torch=.venv-torch/bin/python --clones=CLONES

Each row runs `benchmarks.run` in a process of its own, and is appended to the
ledger as soon as it ends, with its error if it fails. No row starts without
half of the time that it may take, and all ends after --minutes. The same
command continues: rows that the ledger has of these devices and this code are
left out, and those that failed come last.

Columns of the ledger: 'times' is our images a second relative to what 'against'
names, 'mfu' the share of the device's peak; the others are as of
`benchmarks.run`. Rows whose 'cache' is 'own' start without compiled programs.
The others share them, so that the first row of a program has its whole
'compile_seconds'.
"""

import csv
import fnmatch
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import time

from absl import flags

from benchmarks import gpu_session
from benchmarks.gpu_rows import CIFAR
from benchmarks.gpu_rows import ROWS
from benchmarks.gpu_rows import Row
from benchmarks.gpu_session import RowError
from benchmarks.gpu_session import Session
from inception_jax.errors import UserError
from inception_jax.report import ledger
from inception_jax.runtime import cli

log = logging.getLogger(__name__)

_MINUTES = flags.DEFINE_float(
  'minutes', 9.5, 'When to end, whatever is measured by then.', lower_bound=0
)
_ROWS = flags.DEFINE_list(
  'rows', ['*'], 'Names or globs, as train-*; what these need is added.'
)
_LIST = flags.DEFINE_bool('list', False, 'Print the rows, and measure nothing.')
_SMOKE = flags.DEFINE_bool(
  'smoke', False, 'Try the rows on the CPU, with small networks and batches.'
)
_TORCH = flags.DEFINE_string(
  'torch', '.venv-torch/bin/python', 'Python with torch and timm, if any.'
)
_CLONES = cli.define_path(
  'clones', 'Folder with a clone of pytorch-cifar100, if any.'
)
_LEDGER = flags.DEFINE_string(
  'ledger', 'benchmarks/gpu.csv', 'CSV file to append the rows to.'
)
_PROBE_SECONDS = 120
_JAX = """
import jax, json
from inception_jax.runtime import hardware
device = jax.devices()[0]
print(json.dumps([device.platform, device.device_kind, hardware.devices()]))
"""
_PYTORCH = 'import timm, torch; print(torch.cuda.is_available())'


def main() -> dict | None:
  """Measures the rows; returns which are measured, failed and neither."""
  deadline = time.monotonic() + 60 * _MINUTES.value
  rows = selected(_ROWS.value)
  if _LIST.value:
    for row in rows:
      ratio = f' × {row.against}' if row.against else ''
      target = f', target {row.target}' if row.target else ''
      print(f'{row.name}: images/s{ratio}{target}')
    return None
  # Raises an exception, so that the processes of a row end, too.
  signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
  with tempfile.TemporaryDirectory() as cache:
    session = _session(cache)
    found = fill(rows, session, _LEDGER.value, deadline)
  return {'what': 'gpu', 'devices': session.devices, **found}


def selected(patterns: list[str]) -> list[Row]:
  """Returns the rows of these names or globs, and those that they need.

  Raises:
    UserError: a pattern has no row.
  """
  names = [row.name for row in ROWS]
  if unknown := [p for p in patterns if not fnmatch.filter(names, p)]:
    raise UserError(
      f'--rows={",".join(unknown)}: no such row; --list prints them'
    )
  found = {n for p in patterns for n in fnmatch.filter(names, p)}
  for row in ROWS:
    if row.name in found and row.base:
      found.add(row.base)
    if row.name in found and row.feeds:
      found |= {'input', row.feeds}
  return [row for row in ROWS if row.name in found]


def fill(
  rows: list[Row], session: Session, path: str, deadline: float
) -> dict[str, dict]:
  """Measures rows, and appends each to the ledger at once.

  Args:
    path: the ledger.
    deadline: by `time.monotonic`; what runs then is killed.

  Returns:
    'measured': {row: its ratio, or images a second if it has none}, also of
    those that the ledger had; 'failed': {row: error}; 'not_measured': {row:
    reason}.

  Raises:
    UserError: the file is no ledger of these rows.
  """
  found: dict[str, dict] = {'measured': {}, 'failed': {}, 'not_measured': {}}
  lines = _earlier(path, session.devices)
  failures = {line['row'] for line in lines if line['error']}
  done = {(x['row'], x['args']): x for x in lines if not x['error']}
  for row in sorted(rows, key=lambda row: row.name in failures):
    line = done.get((row.name, session.args(row)))
    state, value = _state(row, session, path, deadline, line)
    found[state][row.name] = value
    log.info('%s: %s: %s', row.name, state.replace('_', ' '), value)
  return found


def _state(
  row: Row, session: Session, path: str, deadline: float, line: dict | None
) -> tuple[str, float | str]:
  """Returns a row's key and value in the result of `fill`.

  It is measured unless the ledger has its `line`.
  """
  if fault := session.fault(row):
    return 'not_measured', fault
  if line is None:
    allowed, left = session.allowance(row), deadline - time.monotonic()
    if left < allowed / 2:
      return 'not_measured', f'{max(0.0, left):.0f} s were left of {allowed}'
    seconds = min(allowed, left)
    log.info('%s: at most %.0f s', row.name, seconds)
    begin, result, error = time.monotonic(), {}, ''
    try:
      result = session.measure(row, seconds)
    except RowError as fault:
      error = str(fault)
      if isinstance(fault, gpu_session.TooLong) and seconds < allowed:
        return 'not_measured', f'{error}, when the time was up'
    line = _line(row, session, result, error, time.monotonic() - begin)
    ledger.append(path, line)
  if line['error']:
    return 'failed', line['error']
  session.speeds[row.name] = float(line['images_per_sec'])
  return 'measured', float(line['times'] or line['images_per_sec'])


def _line(
  row: Row, session: Session, result: dict, error: str, seconds: float
) -> dict:
  """Returns the ledger's line of a row that took `seconds`."""
  return {
    'row': row.name,
    **dict.fromkeys(gpu_session.COLUMNS, ''),
    **result,
    'target': row.target or '',
    'against': session.against(row),
    'seconds': round(seconds, 1),
    'error': error,
    'cache': 'own' if row.cold else 'shared',
    'args': session.args(row),
    'devices': session.devices,
    'code': gpu_session.code(),
  }


def _earlier(path: str, devices: str) -> list[dict[str, str]]:
  """Returns the ledger's lines of these devices and this code."""
  if path and not os.path.isdir(os.path.dirname(path) or '.'):
    raise UserError(f'--ledger={path}: there is no such folder')
  if not os.path.exists(path):
    return []
  with open(path, newline='') as file:
    reader = csv.DictReader(file)
    if not {'row', 'args', 'error', 'code'} <= {*(reader.fieldnames or ())}:
      raise UserError(f'--ledger={path} is no ledger of `benchmarks.gpu`')
    lines = [*reader]
  code = gpu_session.code()
  return [x for x in lines if (x['devices'], x['code']) == (devices, code)]


def _session(cache: str) -> Session:
  """Returns what this machine has.

  Raises:
    UserError: there is no GPU, or the clone lacks the network.
  """
  clones, python = _CLONES.value, sys.executable
  network = CIFAR.replace('CLONES', clones).partition(':')[0]
  if clones and not os.path.isfile(network):
    raise UserError(f'--clones={clones}: there is no {network}')
  try:
    platform, device, devices = json.loads(_answer(python, _JAX))
  except RowError as error:
    raise UserError(f'jax cannot compute here: {error}') from None
  if platform != 'gpu' and not _SMOKE.value:
    raise UserError(f'no GPU, but {devices}; --smoke tries the rows on CPUs')
  clones = clones and os.path.abspath(clones)  # not all run in this folder
  return Session(device, devices, python, _torch(), clones, _SMOKE.value, cache)


def _torch() -> str:
  """Returns the path of a Python whose PyTorch can take part, or ''."""
  python, why = shutil.which(_TORCH.value) or '', ''
  try:
    if not python:
      why = 'there is no such program'
    elif _answer(python, _PYTORCH) != 'True' and not _SMOKE.value:
      why = 'its PyTorch sees no GPU'
  except RowError as error:
    why = str(error)
  if why:
    log.warning('without PyTorch: --torch=%s: %s', _TORCH.value, why)
    return ''
  return os.path.abspath(python)


def _answer(python: str, program: str) -> str:
  """Returns the last line that a program in Python prints."""
  variables = gpu_session.environment(_SMOKE.value)
  command = [python, '-c', program]
  return gpu_session.last_line(command, variables, _PROBE_SECONDS)


if __name__ == '__main__':
  cli.run(main)
