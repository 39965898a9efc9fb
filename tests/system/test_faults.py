"""Signals, locks, hangs: what ends a training, and what it leaves."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.runtime import lock
from inception_jax.runtime import metric_writer
from inception_jax.runtime import preemption
from inception_jax.runtime.preemption import Preempted
from tests.conftest import stored
from tests.conftest import tiniest_config
from tests.support import commands
from tests.training.test_loop import lines
from tests.training.test_loop import run_of
from tests.training.test_loop import same


def program(text):
  """A process that runs this, and says 'ready' where the text does."""
  process = subprocess.Popen(
    [sys.executable, '-c', text],
    cwd=commands.ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  assert process.stdout.readline() == 'ready\n', process.communicate()
  return process


LISTENS = """
import hashlib, threading, time
from inception_jax.runtime import preemption
preemption.install()
print('ready', flush=True)
"""
# Minutes in C, where no handler of Python's is run.
IN_C = "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"


@pytest.mark.parametrize('number', preemption.SIGNALS)
def test_before_there_is_anything_to_save_a_signal_ends_at_once(number):
  process = program(LISTENS + IN_C)
  process.send_signal(number)
  _, errors = process.communicate(timeout=60)
  assert process.returncode == preemption.STATUS == 75
  assert f'{number.name} before the first step' in errors


def test_in_the_loop_a_signal_asks_and_a_second_one_ends():
  process = program(
    LISTENS.replace('print(', 'preemption.defer_signals(); print(')
    + """
while not preemption.requested():
  time.sleep(0.01)
print('asked', flush=True)
"""
    + IN_C
  )
  process.send_signal(signal.SIGTERM)
  assert process.stdout.readline() == 'asked\n'
  process.send_signal(signal.SIGTERM)
  _, errors = process.communicate(timeout=60)
  assert process.returncode == 128 + signal.SIGTERM
  assert 'SIGTERM again: ending at once' in errors


def test_two_processes_end_at_the_same_step(request):
  with socket.socket() as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  processes = [
    subprocess.Popen(
      [sys.executable, '-c', TWO, str(port), str(i)],
      cwd=commands.ROOT,
      env={**os.environ, 'XLA_FLAGS': ''},
      stdout=subprocess.PIPE,
      text=True,
    )
    for i in range(2)
  ]
  for process in processes:
    request.addfinalizer(process.kill)
    while process.stdout.readline() != 'ready\n':  # Gloo speaks first
      assert process.poll() is None
  processes[1].send_signal(signal.SIGTERM)  # one of them alone
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


def test_a_hang_ends_with_the_stacks_of_all_threads():
  process = program("""
import time
from inception_jax.runtime.watchdog import Watchdog
with Watchdog(0.5 / 60).watching() as dog:
  for _ in range(10):  # longer than it waits, but it moves
    time.sleep(0.1)
    dog.step_done()
  print('ready', flush=True)
  def hangs():
    time.sleep(600)
  hangs()
""")
  _, errors = process.communicate(timeout=60)
  assert process.returncode == 70
  assert 'in hangs' in errors and 'Thread' in errors
  assert errors.splitlines()[-1].startswith('error: no step was finished in')


def test_of_many_processes_the_missing_ones_are_named(tmp_path):
  signs = tmp_path / 'processes'
  signs.mkdir()
  (signs / '1').write_text('7 on north')
  (signs / '2').write_text('1 on south')
  (signs / '3').write_text('7 on east')
  hour_ago = time.time() - 3600
  os.utime(signs / '1', (hour_ago, hour_ago))
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
  *_, says, _ = errors.splitlines()
  assert says.startswith('error: process 1 on north has been silent for 3')
  assert says.endswith(
    '; process 2 on south is 6 steps behind; process 4 never began'
  )


def test_a_workdir_is_one_trainings_own(tmp_path):
  workdir = str(tmp_path / 'run')
  with lock.held(workdir) as check:
    check()
    with pytest.raises(UserError, match=f'in use .* process {os.getpid()} on'):
      with lock.held(workdir):
        pass
    (tmp_path / 'run').rename(tmp_path / 'moved')
    with pytest.raises(RunError, match='has gone'):
      check()
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / '.lock').touch()
    with pytest.raises(RunError, match='no longer what it was'):
      check()
  with lock.held(str(tmp_path / 'moved')):
    pass


def test_the_lock_goes_with_its_process(tmp_path):
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


def asked_at(monkeypatch, call):
  """A signal comes before the training asks for the so many'th time."""
  calls = []

  def asked():
    calls.append(None)
    return len(calls) >= call

  monkeypatch.setattr(preemption, 'requested', asked)


def config_of_six_steps():
  config = tiniest_config()
  config.train_for = '6 steps'
  config.eval_every = '3 steps'
  config.checkpoint_every = '6 steps'
  config.log_every = '1 step'
  return config


@pytest.fixture(scope='module')
def straight(tmp_path_factory, one_device):
  workdir = tmp_path_factory.mktemp('straight')
  return workdir, run_of(workdir, config_of_six_steps(), one_device)


# The training asks once a step, and before each of an evaluation's 23 batches,
# twice, of the raw weights and the average.
@pytest.mark.parametrize(('call', 'step'), [(2, 2), (5, 3), (40, 3), (97, 6)])
def test_a_preempted_training_ends_as_if_it_had_not_been(
  straight, tmp_path, one_device, monkeypatch, call, step
):
  expected_in, expected = straight
  config = config_of_six_steps()
  with monkeypatch.context() as patch, pytest.raises(Preempted):
    asked_at(patch, call)
    run_of(tmp_path, config, one_device)
  history = CheckpointDirectory(lookup.checkpoint_folder(tmp_path))
  assert history.steps()[-1] == step
  assert history.record(step)['metrics'] == {}
  result = run_of(tmp_path, config, one_device)
  for key in ('step', 'loss', 'top1', 'top5', 'count'):
    assert result[key] == expected[key]
  assert same(stored(tmp_path, 6), stored(expected_in, 6))
  for split in ('train', 'eval', 'eval_raw'):
    ours, theirs = lines(tmp_path, split), lines(expected_in, split)
    assert [line['step'] for line in ours] == [line['step'] for line in theirs][
      : len(ours)
    ]
    for a, b in zip(ours, theirs, strict=False):
      assert a['loss'] == b['loss'] and a['top1'] == b['top1']
  # What was cut off in an evaluation is best by the score it then got.
  if step == 3:
    scores = {line['step']: line['top1'] for line in lines(tmp_path, 'eval')}
    metrics = CheckpointDirectory(lookup.checkpoint_folder(tmp_path)).record(3)[
      'metrics'
    ]
    assert metrics['top1'] == scores[3]


def test_lines_are_whole_and_written_once(tmp_path):
  with metric_writer.MetricWriter(tmp_path) as first:
    first.write(1, 'train', {'loss': 1.0})
    first.write(2, 'train', {'loss': 2.0})
  path = tmp_path / 'metrics.jsonl'
  path.write_text(path.read_text() + '{"step": 3, "spl')  # a kill cut it off
  with metric_writer.MetricWriter(tmp_path) as second:
    second.write(2, 'train', {'loss': 2.0})
    second.write(2, 'eval', {'loss': 5.0})
    second.write(3, 'train', {'loss': 3.0})
  found = [json.loads(line) for line in path.read_text().splitlines()]
  assert [(x['step'], x['split']) for x in found] == [
    (1, 'train'),
    (2, 'train'),
    (2, 'eval'),
    (3, 'train'),
  ]
  # Another arithmetic comes to other numbers, and they are wanted.
  with metric_writer.MetricWriter(tmp_path, repeats=False) as third:
    third.write(3, 'train', {'loss': 4.0})
  assert len(path.read_text().splitlines()) == 5


def verify(*args):
  done = commands.run(*args, program=('-m', 'inception_jax.tools.verify'))
  return done, json.loads(done.stdout) if done.stdout else None


def test_verify_finds_what_is_damaged_and_sets_it_aside(straight, tmp_path):
  workdir = shutil.copytree(straight[0], tmp_path / 'run')
  steps = CheckpointDirectory(lookup.checkpoint_folder(workdir)).steps()
  record = lookup.checkpoint_folder(workdir) / '6' / 'record' / 'metadata'
  record.write_text(record.read_text().replace('"top1": 0.', '"top1": 1.'))
  log = (workdir / 'metrics.jsonl').read_text()
  (workdir / 'metrics.jsonl').write_text(log + 'no JSON\n')
  done, result = verify(f'--workdir={workdir}', '--repair')
  assert done.returncode == 1
  assert result['damaged'] == [6] and result['sound'] == steps[:-1]
  assert 'its record has changed' in result['reasons']['6']
  assert result['bad_lines'] == [log.count('\n') + 1]
  assert result['repaired']
  assert (lookup.checkpoint_folder(workdir) / '6.damaged').is_dir()

  (workdir / 'metrics.jsonl').write_text(log)
  done, result = verify(f'--workdir={workdir}')
  assert done.returncode == 0, done.stderr
  assert result['sound'] == steps[:-1] and not result['damaged']

  done, _ = verify(f'--workdir={tmp_path}/nothing')
  assert done.returncode == 2 and 'no checkpoint in' in done.stderr
