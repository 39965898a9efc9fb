"""The rows of a GPU: each is a command, and none can cost another one."""

import importlib.util
import json
import os
import shlex
import subprocess
import sys
import time

import pytest

from benchmarks import gpu
from benchmarks import gpu_session
from benchmarks.gpu_rows import ROWS
from benchmarks.gpu_rows import Row
from benchmarks.gpu_session import Session
from inception_jax.models import factory
from inception_jax.models.figures import FIGURES
from inception_jax.training import preflight
from tests.support import commands
from tests.support import page_commands
from tests.support.benchmarks import rows as lines_of

H100 = 'NVIDIA H100 80GB HBM3'
# In place of Python: what the first flag says. It notes every start.
STUB = """#!/bin/sh
echo "$3 $4" >> started
case $3 in
fail) echo 'ValueError: no such thing' >&2; exit 1;;
abort) echo "F1130 03:08:47.8 89 flags.cc:23] Unknown flag: --xla_none" >&2
  kill -ABRT $$;;
hang) sleep 1000 & echo $! > child; wait;;
*) echo '{"rows": [{"what": "train", "images_per_sec": 3000,' \
  '"times_theirs": 1.5, "network": "inception_v3", "precision": "bfloat16"}]}'
esac
"""


@pytest.fixture
def session(tmp_path, monkeypatch):
  """A session whose rows run the stub, in a folder of its own."""
  monkeypatch.setattr(gpu_session, 'ROOT', tmp_path)
  monkeypatch.setattr(gpu_session, 'code', lambda: 'now')
  python = tmp_path / 'python'
  python.write_text(STUB)
  python.chmod(0o755)
  return Session(H100, f'1 × {H100}', str(python), '', '', False, 'cache')


def started(tmp_path):
  path = tmp_path / 'started'
  return [x.split()[0] for x in path.read_text().splitlines()]


def fill(session, tmp_path, *names, seconds=100, left=1000):
  rows = [Row(name, (name,), seconds=seconds) for name in names]
  path = str(tmp_path / 'gpu.csv')
  return gpu.fill(rows, session, path, time.monotonic() + left)


def test_rows_that_fail_and_hang_do_not_cost_the_others(session, tmp_path):
  found = fill(session, tmp_path, 'fail', 'abort', 'hang', 'last', seconds=1)
  assert found == {
    'measured': {'last': 1.5},
    'failed': {
      'fail': 'ValueError: no such thing',
      'abort': 'SIGABRT: Unknown flag: --xla_none',
      'hang': 'killed after 1 s',
    },
    'not_measured': {},
  }
  lines = lines_of(tmp_path / 'gpu.csv')
  assert [line['row'] for line in lines] == ['fail', 'abort', 'hang', 'last']
  assert [line['error'] for line in lines] == [*found['failed'].values(), '']
  # What a row started is killed with it.
  child = (tmp_path / 'child').read_text().strip()
  state = subprocess.run(['ps', '-o', 'stat=', child], capture_output=True)
  assert state.stdout.strip()[:1] in (b'', b'Z')


def test_no_row_starts_without_half_of_its_time(session, tmp_path):
  found = fill(session, tmp_path, 'one', 'two', seconds=1000, left=499)
  assert found['measured'] == {} and not (tmp_path / 'started').exists()
  assert found['not_measured'].keys() == {'one', 'two'}
  assert 's were left of 1000' in found['not_measured']['one']
  assert not (tmp_path / 'gpu.csv').exists()


def test_the_end_of_the_time_stops_a_row_that_is_no_failure(session, tmp_path):
  found = fill(session, tmp_path, 'hang', 'next', seconds=1, left=0.7)
  assert found['measured'] == found['failed'] == {}
  assert 'when the time was up' in found['not_measured']['hang']
  assert started(tmp_path) == ['hang']
  assert not (tmp_path / 'gpu.csv').exists()


def test_the_next_start_continues_with_failures_last(session, tmp_path):
  fill(session, tmp_path, 'one', 'fail')
  found = fill(session, tmp_path, 'fail', 'one', 'two')
  assert found['measured'] == {'one': 1.5, 'two': 1.5}
  assert found['failed'].keys() == {'fail'}
  assert started(tmp_path) == ['one', 'fail', 'two', 'fail']


@pytest.mark.parametrize('changed', ['code', 'devices', 'xla'])
def test_what_was_measured_otherwise_is_measured_again(
  session, tmp_path, monkeypatch, changed
):
  fill(session, tmp_path, 'one')
  if changed == 'code':
    monkeypatch.setattr(gpu_session, 'code', lambda: 'later')
  elif changed == 'devices':
    session.devices = '1 × NVIDIA H200'
  else:
    monkeypatch.setenv('XLA_FLAGS', '--xla_gpu_autotune_level=0')
  fill(session, tmp_path, 'one')
  assert started(tmp_path) == ['one', 'one']


def test_a_variant_is_compared_with_its_base(session, tmp_path):
  variant = Row('variant', ('x',), base='base')
  path, deadline = str(tmp_path / 'gpu.csv'), time.monotonic() + 1000
  found = gpu.fill([variant], session, path, deadline)
  assert found['not_measured'] == {'variant': 'base is not measured'}
  session.speeds['base'] = 4000.0
  found = gpu.fill([variant], session, path, deadline)
  assert found['measured'] == {'variant': 0.75}


@pytest.mark.parametrize(
  'device, peak',
  [(H100, 989e12), ('NVIDIA A100-SXM4-80GB', 312e12), ('NVIDIA T4', None)],
)
def test_share_of_the_peak(session, tmp_path, device, peak):
  session.device = device
  fill(session, tmp_path, 'one')
  (line,) = lines_of(tmp_path / 'gpu.csv')
  forward = FIGURES['inception_v3'].flops
  wanted = '' if peak is None else str(round(3 * forward * 3000 / peak, 3))
  assert line['mfu'] == wanted


@pytest.mark.parametrize(
  'speeds, source, why',
  [
    ({'input': 5000, 'train-v3': 3000}, 'folder', 'JPEGs: 5000 images/s'),
    ({'input': 3100, 'train-v3': 3000}, 'synthetic', '3100 images/s are read'),
    ({'train-v3': 3000}, 'synthetic', 'no rate of input'),
  ],
)
def test_jpegs_feed_the_loop_where_the_cores_suffice(
  session, speeds, source, why
):
  (loop,) = (row for row in ROWS if row.name == 'loop-v3')
  session.speeds = speeds
  assert f'--config.data.source={source}' in session.flags(loop)
  assert why in session.against(loop)


def test_rows_without_their_peer():
  session = Session('cpu', '1 × cpu', 'python', '', '', False, 'cache')
  by_name = {row.name: row for row in ROWS}
  assert session.fault(by_name['train-v3']) == ''
  assert session.flags(by_name['train-v3'])[-1] == '--torch='
  assert session.against(by_name['train-v3']) == ''
  assert '--torch' in session.fault(by_name['train-v3-max-autotune'])
  session.torch = 'python'
  assert '--clones' in session.fault(by_name['train-cifar'])
  assert 'torch.compile' in session.against(by_name['train-v3'])


def test_images_are_read_where_tensorflow_is_installed(session, monkeypatch):
  reading = {'input', 'loop-v3', 'loop-v4'}
  faulty = lambda: {
    row.name for row in ROWS if 'tensorflow' in session.fault(row)
  }
  assert faulty() == set()
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  assert faulty() == reading


@pytest.mark.parametrize('smoke', [False, True], ids=['gpu', 'smoke'])
@pytest.mark.parametrize('row', ROWS, ids=lambda row: row.name)
def test_every_row_is_a_command(row, smoke):
  session = Session('cpu', '1 × cpu', 'python', 'python', '/c', smoke, 'cache')
  flags = session.flags(row)
  words = ['python', '-m', 'benchmarks.run', *flags]
  assert page_commands.faults(words) == []
  config = page_commands.parse_config(page_commands.config_arguments(flags))
  found = preflight.of_config(factory.resolve(config), False)
  # The steps get random images.
  assert [fault for fault in found if not fault.startswith('data.')] == []
  assert config.batch_size == (2 if smoke else config.batch_size)
  # The ledger has them without the paths of a machine.
  names = session.args(row).replace('=TORCH', '=python')
  names = names.replace('=CLONES', '=/c')
  assert shlex.split(names)[-len(flags) :] == flags


def test_names_of_rows_are_unique_and_what_they_need_precedes_them():
  names = [row.name for row in ROWS]
  assert len({*names}) == len(names)
  for i, row in enumerate(ROWS):
    needs = [x for x in (row.base, row.feeds, 'input' * bool(row.feeds)) if x]
    assert {*needs} <= {*names[:i]}


@pytest.mark.slow
def test_the_pinned_jaxlib_knows_the_flags_of_xla():
  given = ' '.join(row.xla for row in ROWS)
  program = 'import jax; print(jax.jit(lambda x: x + 1)(1))'
  start = lambda flags: subprocess.run(
    [sys.executable, '-c', program],
    env={**os.environ, 'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': flags},
    capture_output=True,
    text=True,
  )
  assert start(given).stdout == '2\n'
  # Neither names nor values are accepted unseen.
  assert 'Unknown flag' in start('--xla_gpu_none=1').stderr
  assert start('--xla_gpu_enable_command_buffer=+NONE').returncode != 0


def command(*args):
  return commands.run(*args, program=('-m', 'benchmarks.gpu'))


def test_list_prints_the_rows_and_what_they_need():
  done = command('--list', '--rows=loop-v4,remat')
  names = [line.partition(':')[0] for line in done.stdout.splitlines()]
  assert names == ['train-v4', 'input', 'loop-v4', 'alone-v3', 'remat']


@pytest.mark.parametrize(
  'flags, error',
  [
    (('--rows=train-v5',), '--rows=train-v5: no such row; --list prints them'),
    ((), '--smoke tries the rows on CPUs'),
    (('--clones=/none',), '--clones=/none: there is no /none/pytorch-cifar100'),
  ],
)
def test_mistakes_are_told_first(flags, error):
  done = command(*flags, '--ledger=')
  assert done.returncode == 2
  assert error in done.stderr


def test_the_folder_of_the_ledger_must_exist(tmp_path):
  path = tmp_path / 'none/gpu.csv'
  done = command('--smoke', '--torch=', '--minutes=1', f'--ledger={path}')
  assert done.returncode == 2
  assert f'error: --ledger={path}: there is no such folder' in done.stderr


def test_another_ledger_is_left_alone(tmp_path):
  path = tmp_path / 'step.csv'
  path.write_text('date,what\n2026-11-30,train\n')
  done = command('--smoke', '--torch=', '--minutes=0', f'--ledger={path}')
  assert done.returncode == 2
  assert 'is no ledger of `benchmarks.gpu`' in done.stderr
  assert path.read_text() == 'date,what\n2026-11-30,train\n'


def test_what_is_left_is_listed_at_the_end(tmp_path):
  path = tmp_path / 'gpu.csv'
  done = command('--smoke', '--torch=', '--minutes=0', f'--ledger={path}')
  result = json.loads(done.stdout.splitlines()[-1])
  assert result['measured'] == result['failed'] == {}
  assert [*result['not_measured']] == [row.name for row in ROWS]
  reasons = result['not_measured']
  assert '--torch has no PyTorch' in reasons['train-v3-max-autotune']
  assert reasons['remat'] == 'alone-v3 is not measured'
  assert not path.exists()
