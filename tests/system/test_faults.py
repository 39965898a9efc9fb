"""Preemption, hangs, locks and damaged checkpoints, in processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.errors import UserError
from inception_jax.runtime import lock
from inception_jax.runtime import metrics_file
from inception_jax.runtime import preemption
from inception_jax.runtime.preemption import Preempted
from tests.support import commands
from tests.support.checkpoints import make_state
from tests.support.checkpoints import names_in
from tests.support.checkpoints import read_with_orbax
from tests.support.runs import assert_equal_states
from tests.support.runs import metrics
from tests.support.runs import train
from tests.support.tiny import tiniest_config


def program(text, first=(), **kwargs):
  """Starts a Python program, by another one; waits until it prints 'ready'."""
  process = subprocess.Popen(
    [*first, sys.executable, '-c', text],
    cwd=commands.ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    **kwargs,
  )
  assert process.stdout.readline() == 'ready\n', process.communicate()
  return process


READY = "print('ready', flush=True)"
INSTALL = f"""
import hashlib, threading, time
from inception_jax.runtime import preemption
preemption.install()
{READY}
"""
# Takes minutes in C, where Python runs no signal handler.
IN_C = "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"


@pytest.mark.parametrize('number', preemption.SIGNALS)
def test_signal_before_the_first_step_exits_immediately(number):
  # Under nohup, whose SIGHUP is ignored, the tests pass, too.
  process = program(INSTALL + IN_C, ('env', '--default-signal'))
  process.send_signal(number)
  _, errors = process.communicate(timeout=60)
  assert process.returncode == preemption.STATUS == 75
  assert f'{number.name} before the first step' in errors


def test_nohup_is_respected():
  nohup = ('sh', '-c', 'trap "" HUP; exec "$@"', 'sh')
  process = program(INSTALL + 'input()', nohup, stdin=subprocess.PIPE)
  process.send_signal(signal.SIGHUP)
  _, errors = process.communicate('\n', timeout=60)
  assert process.returncode == 0, errors


IN_LOOP = """
preemption.defer_signals()
print('ready', flush=True)
while not preemption.requested():
  time.sleep(0.01)
print('requested', flush=True)
"""


def test_signals_within_moments_are_one_request():
  """As those of `timeout`, which signals its command and then its group."""
  text = INSTALL.replace(READY, IN_LOOP) + "input(); print('saved')"
  process = program(text, stdin=subprocess.PIPE)
  for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
    process.send_signal(number)
  assert process.stdout.readline() == 'requested\n'
  process.send_signal(signal.SIGTERM)
  out, errors = process.communicate('\n', timeout=60)
  assert (process.returncode, out) == (0, 'saved\n'), errors


def test_later_signal_exits_without_saving():
  process = program(
    INSTALL.replace(READY, 'preemption.SAME_REQUEST = 0.1' + IN_LOOP) + IN_C
  )
  process.send_signal(signal.SIGTERM)
  assert process.stdout.readline() == 'requested\n'
  time.sleep(0.2)
  process.send_signal(signal.SIGTERM)
  _, errors = process.communicate(timeout=60)
  assert process.returncode == 128 + signal.SIGTERM
  assert 'second SIGTERM: exiting without saving' in errors


def test_two_processes_stop_at_the_same_step(request):
  with socket.socket() as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  processes = [
    commands.start(str(port), str(i), program=('-c', TWO)) for i in range(2)
  ]
  for process in processes:
    request.addfinalizer(process.end)
    while process.stdout.readline() != 'ready\n':  # after lines of Gloo
      assert process.poll() is None
  processes[1].send_signal(signal.SIGTERM)  # only one of them
  steps = [process.communicate(timeout=60)[0] for process in processes]
  assert steps[0] == steps[1] and int(steps[0]) > 0
  assert [process.returncode for process in processes] == [0, 0]


TWO = """
import sys, time
import jax
jax.distributed.initialize(f'localhost:{sys.argv[1]}', 2, int(sys.argv[2]))
from inception_jax.distributed import sharding
from inception_jax.runtime import preemption
preemption.install()
preemption.defer_signals()
ask = sharding.any_process(sharding.make_mesh())
for step in range(10**6):
  if step == 3:
    print('ready', flush=True)
  if ask(preemption.requested()):
    break
  time.sleep(0.01)
print(step)
"""


def test_hang_ends_with_the_stacks_of_all_threads():
  process = program("""
import time
from inception_jax.runtime.watchdog import Watchdog
with Watchdog(0.5 / 60).watching() as dog:
  for _ in range(10):  # longer than the limit, but with steps
    time.sleep(0.1)
    dog.step_done()
  print('ready', flush=True)
  def hang():
    time.sleep(600)
  hang()
""")
  _, errors = process.communicate(timeout=60)
  assert process.returncode == 70
  assert 'in hang' in errors and 'Thread' in errors
  assert errors.splitlines()[-1].startswith('error: no step was finished in')


@pytest.mark.slow
def test_hang_names_the_late_processes(tmp_path):
  heartbeats = tmp_path / 'processes'
  heartbeats.mkdir()
  (heartbeats / '1').write_text('7 on north')
  (heartbeats / '2').write_text('1 on south')
  (heartbeats / '3').write_text('7 on east')
  hour_ago = time.time() - 3600
  os.utime(heartbeats / '1', (hour_ago, hour_ago))
  process = program(f"""
import time
from inception_jax.runtime.watchdog import Watchdog
with Watchdog(0.5 / 60, {str(tmp_path)!r}, 0, 5).watching() as dog:
  for _ in range(5):
    dog.step_done()
  print('ready', flush=True)
  time.sleep(600)
""")
  _, errors = process.communicate(timeout=60)
  assert process.returncode == 70
  *_, late, _ = errors.splitlines()
  assert late.startswith('error: process 1 on north: last heartbeat 3')
  assert late.endswith(
    ' s ago; process 2 on south is 6 steps behind; process 4 never started'
  )


def test_lock_ends_with_its_process(tmp_path):
  process = program(f"""
import time
from inception_jax.runtime import lock
with lock.held({str(tmp_path)!r}):
  print('ready', flush=True)
  time.sleep(600)
""")
  with pytest.raises(UserError, match=f'process {process.pid} on'):
    with lock.held(str(tmp_path)):
      pass
  process.kill()
  process.communicate()
  with lock.held(str(tmp_path)):
    pass


def request_at(monkeypatch, call):
  """Requests preemption from the given call of `preemption.requested` on."""
  calls = []

  def requested():
    calls.append(None)
    return len(calls) >= call

  monkeypatch.setattr(preemption, 'requested', requested)


def config_of_six_steps():
  config = tiniest_config()
  config.train_for = '6 steps'
  config.eval_every = '3 steps'
  config.checkpoint_every = '6 steps'
  config.log_every = '1 step'
  # The last evaluation replaces the best checkpoint, which is deleted.
  config.checkpoint_keep = 1
  return config


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory, one_device):
  workdir = tmp_path_factory.mktemp('uninterrupted')
  return workdir, train(workdir, config_of_six_steps(), one_device)


def recorded(workdir):
  """Returns what a run has written, but for its speed."""
  untimed = lambda values: {
    key: value for key, value in values.items() if key not in metrics_file.TIMES
  }
  checkpoints = CheckpointDirectory(lookup.checkpoint_folder(workdir))
  return {
    'lines': list(map(untimed, metrics(workdir))),
    'checkpoints': names_in(checkpoints.directory),
    'scores': {s: untimed(checkpoints.metrics(s)) for s in checkpoints.steps()},
    'best': checkpoints.best_step(),
    'config': json.loads((workdir / 'config.json').read_text()),
  }


# Training calls `requested` once per step, and before each of the 23 batches of
# an evaluation, which runs twice: for the raw weights and the moving average.
@pytest.mark.slow
@pytest.mark.parametrize(('call', 'step'), [(2, 2), (5, 3), (40, 3), (97, 6)])
def test_preempted_training_resumes_bitwise(
  uninterrupted, tmp_path, one_device, monkeypatch, call, step
):
  expected_workdir, expected = uninterrupted
  config = config_of_six_steps()
  with monkeypatch.context() as patch, pytest.raises(Preempted):
    request_at(patch, call)
    train(tmp_path, config, one_device)
  checkpoints = CheckpointDirectory(lookup.checkpoint_folder(tmp_path))
  assert checkpoints.steps()[-1] == step
  assert checkpoints.record(step)['metrics'] == {}
  result = train(tmp_path, config, one_device)
  for key in ('step', 'loss', 'top1', 'top5', 'count'):
    assert result[key] == expected[key]
  assert_equal_states(
    read_with_orbax(tmp_path, 6), read_with_orbax(expected_workdir, 6)
  )
  assert recorded(tmp_path) == recorded(expected_workdir)


def verify(*args):
  done = commands.run(*args, program=('-m', 'inception_jax.tools.verify'))
  return done, json.loads(done.stdout) if done.stdout else None


def test_verify_finds_damage_and_repairs(one_device, tmp_path):
  folder = lookup.checkpoint_folder(tmp_path)
  metrics_path = tmp_path / 'metrics.jsonl'
  scores = {'loss': 0.5, 'top1': 0.25, 'top5': 1.0, 'count': 8}
  with CheckpointManager(folder, keep_latest=9) as checkpoints:
    for step in (2, 4, 6):
      checkpoints.save(make_state(step, one_device), scores, {})
      metrics_file.append(metrics_path, step, 'eval', scores)
  record = folder / '6' / 'record' / 'metadata'
  record.write_text(record.read_text().replace('"top1": 0.', '"top1": 1.'))
  log, lines = metrics_path.read_bytes(), metrics_file.parse(metrics_path)
  flipped = log.replace(b'"loss": 0.5', b'"loss": 0.7', 1)
  metrics_path.write_bytes(flipped + b'no \xffJSON\n')
  for repair in (False, True):
    flag = ['--repair'] if repair else []
    done, result = verify(f'--workdir={tmp_path}', *flag)
    assert done.returncode == 1
    assert result['damaged'] == [6] and result['sound'] == [2, 4]
    assert 'its record has changed' in result['reasons']['6']
    assert result['bad_lines'] == [1, 4]
    assert 'metrics.jsonl, line 4, is damaged' in done.stderr
    assert result['repaired'] == repair
  assert (folder / '6.damaged').is_dir()
  assert metrics_file.parse(metrics_path) == lines
  aside = tmp_path / 'metrics.jsonl.damaged'
  assert aside.read_bytes().splitlines()[1] == b'no \xffJSON'

  done, result = verify(str(tmp_path))
  assert done.returncode == 0, done.stderr
  assert result['sound'] == [2, 4] and not result['damaged']

  done, _ = verify(f'--workdir={tmp_path}/nothing')
  assert done.returncode == 2 and 'no checkpoint in' in done.stderr
  done, _ = verify()
  assert done.returncode == 2
  assert done.stderr == 'error: 0 runs are named: verify takes one RUN\n'
