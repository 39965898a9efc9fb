"""Training and evaluating by main.py as a command."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import termios
import time

from PIL import Image
import pytest

from tests.support import tfds_sets
from tests.support.checkpoints import read_with_orbax
from tests.support.commands import ROOT
from tests.support.commands import run
from tests.support.commands import start
from tests.support.commands import tool
from tests.support.runs import assert_equal_states

DIGITS = '--config=configs/digits.py'
# main.py with the networks of tests.support.tiny.
TINY = {'program': ('-m', 'tests.support.tiny')}


def tiniest_training(workdir):
  """Returns the flags that train the tiniest network for a few steps."""
  return [
    DIGITS,
    f'--workdir={workdir}',
    '--config.model.name=tiniest',
    '--config.model.aux_head=False',
    '--config.model.width=1.0',
    '--config.data.image_size=9',
    '--config.train_for=8 steps',
    '--config.schedule.warmup=2 steps',
    '--config.checkpoint_every=3 steps',
    '--config.eval_every=8 steps',
    '--config.log_every=1 step',
  ]


def training_with_all_features(workdir):
  """Returns the flags for the tiny network with every random augmentation."""
  return [
    *tiniest_training(workdir),
    '--config.model.name=tiny',
    '--config.model.aux_head',
    '--config.data.train_crop=resized',
    '--config.data.flip',
    '--config.data.color_jitter=(0.2,0.2,0.2,0.1)',
    '--config.data.rotate=15.0',
    '--config.data.policy=randaugment',
    '--config.data.erase=0.25',
    '--config.data.mixup=0.2',
    '--config.data.cutmix=1.0',
  ]


@pytest.mark.slow
def test_killed_and_preempted_training_resumes_bitwise_and_evaluates(tmp_path):
  uninterrupted = run(
    *training_with_all_features(tmp_path / 'uninterrupted'), **TINY
  )
  assert uninterrupted.returncode == 0, uninterrupted.stderr
  expected = json.loads(uninterrupted.stdout.splitlines()[-1])

  args = training_with_all_features(tmp_path / 'killed')
  killed = start(*args, **TINY)
  done = tmp_path / 'killed' / 'checkpoints' / '3'
  while not done.exists():
    assert killed.poll() is None, killed.communicate()
    time.sleep(0.01)
  killed.send_signal(signal.SIGKILL)
  killed.communicate()

  preempted = start(*args, **TINY)
  for line in preempted.stderr:
    if 'step 5 of 8' in line or 'step 6 of 8' in line:
      preempted.send_signal(signal.SIGTERM)
      break
  _, errors = preempted.communicate()
  assert preempted.returncode == 75
  assert 'SIGTERM: saving after this step' in errors
  assert 'the same command resumes from here' in errors

  resumed = run(*args, **TINY)
  assert resumed.returncode == 0, resumed.stderr
  result = json.loads(resumed.stdout.splitlines()[-1])
  assert 'resuming after step' in resumed.stderr
  for key in ('step', 'loss', 'top1', 'top5', 'count'):
    assert result[key] == expected[key]
  assert_equal_states(
    read_with_orbax(tmp_path / 'uninterrupted', 8),
    read_with_orbax(tmp_path / 'killed', 8),
  )

  again = run(*args, **TINY)
  assert json.loads(again.stdout) == result
  assert 'is complete: step 8 of 8' in again.stderr

  evaluated = run(*args, '--mode=eval', '--checkpoint=best', **TINY)
  assert json.loads(evaluated.stdout) == {
    key: x for key, x in result.items() if key != 'images_per_sec'
  }
  missing = run(*args, '--mode=eval', '--checkpoint=99', **TINY)
  assert missing.returncode == 2
  (line,) = missing.stderr.splitlines()
  assert line.startswith('error: --checkpoint=99: expected latest, best')
  other = run(*args, '--mode=eval', '--config.model.width=0.5', **TINY)
  assert other.returncode == 2
  *_, line = other.stderr.splitlines()  # the log comes first
  assert line.startswith('error: model.width=0.5, but')
  assert 'has 1.0: set --config.model.width' in line


@pytest.mark.slow
def test_deterministic_sets_the_options_of_xla(tmp_path):
  # The options are set on CPUs, too, where they have no effect.
  # XLA dumps nothing for programs from the cache.
  program = f"""
import os, runpy
import jax
os.environ['XLA_FLAGS'] += ' --xla_dump_to={tmp_path}'
jax.config.update('jax_enable_compilation_cache', False)
runpy.run_module('tests.support.tiny', run_name='__main__')
"""
  done = run(
    *tiniest_training(tmp_path / 'run'),
    '--config.deterministic',
    '--config.train_for=1 steps',
    program=('-c', program),
  )
  assert done.returncode == 0, done.stderr
  for name in ('train_step', 'forward'):
    (options,) = tmp_path.glob(f'*.jit_{name}.debug_options')
    assert 'xla_gpu_deterministic_ops: true' in options.read_text()


@pytest.mark.slow
def test_workdir_may_be_relative_to_the_current_folder(tmp_path):
  # As for `make train` in a new clone.
  _, _, *args = tiniest_training('')
  args = [f'--config={ROOT}/configs/digits.py', '--workdir=runs/new', *args]
  done, again = (run(*args, cwd=tmp_path, **TINY) for _ in range(2))
  assert done.returncode == 0, done.stderr
  assert json.loads(again.stdout) == json.loads(done.stdout)
  assert 'runs/new is complete: step 8 of 8' in again.stderr
  report = tool('report', '--workdir=runs/new', cwd=tmp_path)
  assert report.returncode == 0, report.stderr
  page = (tmp_path / 'runs' / 'new' / 'report' / 'index.html').read_text()
  assert '<title>digits: tiniest</title>' in page  # the recipe's name


@pytest.mark.slow
def test_progress_bars_are_shown_only_in_a_terminal(tmp_path):
  reader, terminal = pty.openpty()
  # Without a width, there is no bar.
  size = struct.pack('HHHH', 24, 100, 0, 0)
  fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
  process = start(
    *tiniest_training(tmp_path / 'terminal'), stderr=terminal, **TINY
  )
  os.close(terminal)
  output = b''
  # Reading past a terminal's end raises.
  with contextlib.suppress(OSError):
    while part := os.read(reader, 4096):
      output += part
  process.communicate()
  os.close(reader)
  assert process.returncode == 0
  bars = re.findall(r'(\w+): +\d+%\|.*? (\d+)/(\d+) \[', output.decode())
  assert ('training', '8', '8') in bars
  assert 'evaluating' in {what for what, _, _ in bars}
  # The lines of the log, above the bar, are complete.
  for step in range(1, 9):
    assert re.search(rf'step {step} of 8  loss .* left\r\n', output.decode())
  plain = run(*tiniest_training(tmp_path / 'file'), **TINY)
  assert plain.returncode == 0, plain.stderr
  assert '%|' not in plain.stderr
  assert '\r' not in plain.stderr


@pytest.mark.slow
def test_trains_on_a_prepared_tfds_dataset(tmp_path):
  tfds_sets.write(tmp_path / 'data')
  done = run(
    *tiniest_training(tmp_path / 'run'),
    '--config.data.source=tfds:shapes',
    f'--config.data.dir={tmp_path}/data',
    '--config.batch_size=4',
    devices=2,
    **TINY,
  )
  assert done.returncode == 0, done.stderr
  assert json.loads(done.stdout)['count'] == 7
  assert '23 images of 3 classes' in done.stderr


@pytest.mark.slow
def test_training_skips_bad_images_up_to_max_bad_fraction(tmp_path):
  for split in ('train', 'val'):
    for name in range(10):
      (where := tmp_path / 'data' / split / str(name)).mkdir(parents=True)
      for i in range(4):
        Image.new('L', (9, 9), 20 * name + i).save(where / f'{i}.png')
    (where / '1.png').write_bytes(b'junk')
  arguments = [
    *tiniest_training(tmp_path / 'run'),
    '--config.data.source=folder',
    '--config.data.eval_split=val',
    f'--config.data.dir={tmp_path}/data',
  ]
  done = run(*arguments, **TINY)
  assert done.returncode == 2
  assert 'more than data.max_bad_fraction=0.001; all are in' in done.stderr
  done = run(*arguments, '--config.data.max_bad_fraction=0.05', **TINY)
  assert done.returncode == 0, done.stderr
  assert json.loads(done.stdout)['count'] == 39
  assert '1 of 40 images cannot be decoded and are not counted' in done.stderr
  lines = (tmp_path / 'run' / 'bad_images.txt').read_text().splitlines()
  assert lines == [
    f'{tmp_path}/data/{split}/9/1.png: unknown image format'
    for split in ('train', 'val')
  ]


@pytest.mark.slow
def test_digits_reach_90_percent(tmp_path):
  # The README has the full recipe's accuracy. A fifth of its length would end
  # at 0.86 or 0.91, as the versions of jax round; this at 0.96 with either.
  done = run(
    DIGITS,
    f'--workdir={tmp_path}',
    '--config.train_for=8 epochs',
    '--config.eval_every=8 epochs',
    optimized=True,
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert result['count'] == 360
  assert result['top1'] >= 0.9
