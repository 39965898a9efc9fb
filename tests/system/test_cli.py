"""The command line as its users meet it."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

import jax
import numpy as np
from PIL import Image
import pytest

from tests.support import tfds_sets
from tests.support.commands import ROOT
from tests.support.commands import command
from tests.support.commands import run
from tests.support.commands import tool

DIGITS = '--config=configs/digits.py'


@pytest.mark.parametrize(
  ('args', 'faults'),
  [
    (
      ['--config.modle.name=inception_v4'],
      ['config.modle.name=inception_v4: no such key; did you mean "model"'],
    ),
    (
      ['--config.model.nam=x'],
      ['config.model.nam=x: no such key; did you mean'],
    ),
    (['--config.batch_size=many'], ['config.batch_size=many: ']),
    (['--config.batch_size=1.5'], ['config.batch_size=1.5: ']),
    (['--config.data.flip=perhaps'], ['config.data.flip=perhaps: ']),
    (['--config.data.std=a'], ["data.std=('a',)"]),
    (['--config.train_for=90'], ["train_for='90': expected a number and unit"]),
    (['--config.data.image_size=8'], ['needs at least 9']),
    (['--config.data.source=cifar11'], ["data.source='cifar11'"]),
    (['--config.data.eval_split=val'], ["data.eval_split='val'"]),
    (
      ['--config.data.source=tfds:cifar10'],
      ['--source=tfds:cifar10 --data_dir='],
    ),
    (
      ["--config.data.mean=('a','b','c')", '--config.model.bn_epsilon=nan'],
      ['data.mean=', 'model.bn_epsilon=nan'],
    ),
    (['--config.schedule.learning_rate=inf'], ['schedule.learning_rate=inf']),
    (['--config.data.pad=99'], ['data.pad=99']),
    (
      ['--config.seed', '1', '--config.model.nme', 'x'],
      ['config.model.nme=x: no'],
    ),
    (['--checkpoint=5'], ['--checkpoint is for --mode=eval']),
    (
      ['--labels=x', '--weights=raw', '--follow'],
      ['--labels is for', '--weights is for', '--follow is for'],
    ),
    (
      ['--mode=eval', '--follow', '--checkpoint=best', '--weights=raw'],
      ['--checkpoint is not for --follow', '--weights is not for --follow'],
    ),
    (
      ['--mode=eval', '--output=/proc/x', '--config.data.eval_protocol=10'],
      ['--output=/proc/x cannot be written', "data.eval_protocol='10'"],
    ),
    (['--mode=eval', '--checkpoint='], ['--checkpoint is empty']),
    (['--mode=eval'], ['no checkpoint in']),
    (['--mode=eval', '--checkpoint=/tmp/5'], ['/tmp/5: no such file']),
    (['--mode=sing'], ['--mode=sing']),
    (['--frobnicate'], ['frobnicate']),
    (['train'], ['not a flag: train']),
    (
      ['--config.bad=1', '--config.seed=x', '--config.model.width=y'],
      [
        'config.bad=1: no such key',
        '--config.seed=x',
        '--config.model.width=y',
      ],
    ),
    (
      [
        '--config.batch_size=0',
        '--config.model.name=vgg',
        '--config.ema_decay=1',
        '--config.data.policy=auto',
        '--config.data.color_jitter=(0.4,0.4,0.4)',
        '--config.data.mixup=-1.0',
      ],
      [
        'batch_size=0',
        "model.name='vgg'",
        'ema_decay=1.0',
        "data.policy='auto': expected one of ",
        'data.color_jitter=(0.4, 0.4, 0.4): expected brightness, contrast',
        'data.mixup=-1.0',
      ],
    ),
  ],
)
def test_mistakes_end_in_a_line_each_and_leave_nothing(tmp_path, args, faults):
  workdir = tmp_path / 'run'
  args = [
    DIGITS,
    f'--workdir={workdir}',
    f'--config.data.dir={tmp_path}',
    *args,
  ]
  done = run(*args)
  errors = done.stderr.splitlines()
  assert done.returncode == 2, done.stderr
  assert done.stdout == ''
  assert len(errors) == len(faults), errors
  assert all(line.startswith('error: ') for line in errors)
  for fault in faults:
    assert sum(fault in line for line in errors) == 1, (fault, errors)
  assert not workdir.exists()


def test_missing_config_and_workdir(tmp_path):
  for args, fault in (
    ([], '--config is missing'),
    (['--config=configs/nothing.py', '--workdir=x'], 'configs/nothing.py'),
    ([DIGITS], '--workdir is missing'),
    (
      [DIGITS, '--workdir=README.md/x'],
      '--workdir=README.md/x cannot be written',
    ),
    ([DIGITS, '--workdir=README.md'], '--workdir=README.md cannot be written'),
    ([DIGITS, '--workdir=s3://bucket/run'], 'expected a local path or gs://'),
    ([DIGITS, '--mode=eval'], '--workdir is missing'),
    (['--config=README.md', '--workdir=x'], '--config=README.md: SyntaxError'),
    ([f'{DIGITS}:x', '--workdir=x'], 'configs/digits.py:x: TypeError'),
  ):
    done = run(*args)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert fault in line


def test_a_workdir_that_is_not_whole(tmp_path):
  (tmp_path / 'checkpoints').touch()
  done = run(DIGITS, f'--workdir={tmp_path}')
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert 'checkpoints: File exists' in line or 'Not a directory' in line
  assert (tmp_path / 'checkpoints').is_file()


def test_batch_and_devices(tmp_path):
  done = run(
    DIGITS, f'--workdir={tmp_path}/x', '--config.batch_size=30', devices=4
  )
  assert done.returncode == 2
  assert done.stderr == (
    'error: batch_size=30 does not divide over 4 devices; nearest that do: '
    '28, 32\n'
  )


def test_unprepared_tfds_is_said_within_seconds(tmp_path):
  start = time.monotonic()
  done = run(
    '--config=configs/inception_v4.py',
    f'--workdir={tmp_path}/run',
    f'--config.data.dir={tmp_path}',
  )
  assert done.returncode == 2
  assert 'tools.prepare --source=tfds:imagenet2012' in done.stderr
  # The one absolute bound that a user was promised: five seconds.
  assert time.monotonic() - start < 5


TINY = {
  'program': ('-m', 'tests.support.tiny')
}  # main.py, with a network of its own


def small(workdir):
  """The smallest network on small images, for a few steps."""
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


def whole(workdir):
  """The same with everything on, and whatever else draws at random."""
  return [
    *small(workdir),
    '--config.model.name=tiny',
    '--config.model.aux_head',
    '--config.data.train_crop=random',
    '--config.data.flip',
    '--config.data.color_jitter=(0.2,0.2,0.2,0.1)',
    '--config.data.rotate=15.0',
    '--config.data.policy=randaugment',
    '--config.data.erase=0.25',
    '--config.data.mixup=0.2',
    '--config.data.cutmix=1.0',
  ]


@pytest.mark.slow
def test_killed_run_resumes_trains_to_the_same_end_and_evaluates(tmp_path):
  straight = run(*whole(tmp_path / 'straight'), **TINY)
  assert straight.returncode == 0, straight.stderr
  expected = json.loads(straight.stdout.splitlines()[-1])

  killed = subprocess.Popen(**command(*whole(tmp_path / 'killed'), **TINY))
  done = tmp_path / 'killed' / 'checkpoints' / '3'
  while not done.exists():
    assert killed.poll() is None, killed.communicate()
    time.sleep(0.01)
  killed.send_signal(signal.SIGKILL)
  killed.communicate()

  asked = subprocess.Popen(**command(*whole(tmp_path / 'killed'), **TINY))
  for line in asked.stderr:
    if 'step 5 of 8' in line or 'step 6 of 8' in line:
      asked.send_signal(signal.SIGTERM)
      break
  _, errors = asked.communicate()
  assert asked.returncode == 75
  assert 'SIGTERM: saving after this step' in errors
  assert 'the same command resumes from here' in errors

  resumed = run(*whole(tmp_path / 'killed'), **TINY)
  assert resumed.returncode == 0, resumed.stderr
  result = json.loads(resumed.stdout.splitlines()[-1])
  assert 'resuming after step' in resumed.stderr
  for key in ('step', 'loss', 'top1', 'top5', 'count'):
    assert result[key] == expected[key]
  states = (stored(tmp_path / name, 8) for name in ('straight', 'killed'))
  for a, b in zip(*map(jax.tree.leaves, states), strict=True):
    np.testing.assert_array_equal(a, b)

  again = run(*whole(tmp_path / 'killed'), **TINY)
  assert json.loads(again.stdout) == result
  assert 'is complete: step 8 of 8' in again.stderr

  evaluated = run(
    *whole(tmp_path / 'killed'), '--mode=eval', '--checkpoint=best', **TINY
  )
  assert json.loads(evaluated.stdout) == {
    key: result[key] for key in ('step', 'loss', 'top1', 'top5', 'count')
  }
  missing = run(
    *whole(tmp_path / 'killed'), '--mode=eval', '--checkpoint=99', **TINY
  )
  assert missing.returncode == 2
  (line,) = missing.stderr.splitlines()
  assert line.startswith('error: --checkpoint=99: expected latest, best')
  other = run(
    *whole(tmp_path / 'killed'),
    '--mode=eval',
    '--config.model.width=0.5',
    **TINY,
  )
  assert other.returncode == 2
  *_, line = other.stderr.splitlines()  # the log comes first
  assert line.startswith('error: model.width=0.5, but')
  assert 'has 1.0: set --config.model.width' in line


@pytest.mark.slow
def test_xla_is_asked_to_be_deterministic(tmp_path):
  # Of no effect on a CPU, where nothing else happens.
  asked = command(
    DIGITS,
    *small(tmp_path / 'run')[1:],
    '--config.deterministic',
    '--config.train_for=1 steps',
    program=('-m', 'tests.support.tiny'),
  )
  asked['env']['XLA_FLAGS'] += f' --xla_dump_to={tmp_path}'
  # What is compiled already leaves nothing.
  asked['env']['JAX_ENABLE_COMPILATION_CACHE'] = 'false'
  done = subprocess.run(**asked)
  assert done.returncode == 0, done.stderr
  for name in ('train_step', 'forward'):
    (options,) = tmp_path.glob(f'*.jit_{name}.debug_options')
    assert 'xla_gpu_deterministic_ops: true' in options.read_text()


def test_a_workdir_may_be_named_from_here(tmp_path):
  # As in `make train` in a clone where nothing has run yet.
  _, _, *args = small('')
  args = [f'--config={ROOT}/configs/digits.py', '--workdir=runs/new', *args]
  done, again = (run(*args, cwd=tmp_path, **TINY) for _ in range(2))
  assert done.returncode == 0, done.stderr
  assert json.loads(again.stdout) == json.loads(done.stdout)
  assert 'runs/new is complete: step 8 of 8' in again.stderr
  report = tool('report', '--workdir=runs/new', cwd=tmp_path)
  assert report.returncode == 0, report.stderr
  assert (tmp_path / 'runs' / 'new' / 'report' / 'index.html').exists()


def test_a_terminal_shows_a_bar_and_a_file_does_not(tmp_path):
  started = command(*small(tmp_path / 'terminal'), **TINY)
  # As wide as terminals are: of no width, there is no bar.
  ours, theirs = pty.openpty()
  size = struct.pack('HHHH', 24, 100, 0, 0)
  fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
  with subprocess.Popen(**{**started, 'stderr': theirs}) as process:
    os.close(theirs)
    seen = b''
    # The end of a terminal is an error.
    with contextlib.suppress(OSError):
      while part := os.read(ours, 4096):
        seen += part
    process.wait()
  os.close(ours)
  assert process.returncode == 0
  bars = re.findall(r'(\w+): +\d+%\|.*? (\d+)/(\d+) \[', seen.decode())
  assert ('training', '8', '8') in bars
  assert 'evaluating' in {what for what, _, _ in bars}
  # Lines of the log are whole, above it.
  for step in range(1, 9):
    assert re.search(rf'step {step} of 8  loss .* left\r\n', seen.decode())
  plain = run(*small(tmp_path / 'file'), **TINY)
  assert plain.returncode == 0, plain.stderr
  assert '%|' not in plain.stderr
  assert '\r' not in plain.stderr


@pytest.mark.slow
def test_trains_on_a_prepared_tfds_set(tmp_path):
  tfds_sets.write(tmp_path / 'data')
  done = run(
    *small(tmp_path / 'run'),
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
def test_trains_on_a_folder_with_a_bad_image(tmp_path):
  for split in ('train', 'val'):
    for name in range(10):
      (where := tmp_path / 'data' / split / str(name)).mkdir(parents=True)
      for i in range(4):
        Image.new('L', (9, 9), 20 * name + i).save(where / f'{i}.png')
    (where / '1.png').write_bytes(b'junk')
  arguments = [
    *small(tmp_path / 'run'),
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
def test_digits_are_learnt(tmp_path):
  # A third of the recipe's length; the README says what all of it reaches.
  done = run(
    DIGITS,
    f'--workdir={tmp_path}',
    '--config.train_for=5 epochs',
    '--config.eval_every=5 epochs',
    optimised=True,
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert result['count'] == 360
  assert result['top1'] >= 0.9
