"""Errors of main.py: one line each, status 2, nothing created."""

import time

import pytest

from tests.support.commands import ROOT
from tests.support.commands import run

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
      [
        *('--config.loss_threshold=0.2', '--config.data.grow_from=16'),
        *('--config.data.repeats=9999', '--config.model.drop_path_rate=0.1'),
      ],
      [
        'loss_threshold=0.2: expected 0 but for a binary loss',
        'model.drop_path_rate: inception_v3 has no residual blocks',
        'data.repeats=9999: expected at least 1, and at most half of',
        'data.grow_from=16: expected 0, or a size below data.image_size',
      ],
    ),
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
    (
      ['--mode=eval', '--labels=~no-such-user/x.json'],
      ['--labels=~no-such-user/x.json: ~no-such-user/x.json: ~no-such-user is'],
    ),
    (
      ['--config.data.source=folder', '--config.data.dir=~no-such-user'],
      ['data.dir=~no-such-user: ~no-such-user is no folder'],
    ),
    (
      ['--config.data.source=folder', f'--config.data.dir={"x" * 5000}'],
      ["data.dir='xxx"],
    ),
    (
      [f'--config.data.source={"x" * 10**5}\nerror: \x1b[2J'],
      [r"xxx\nerror: \x1b[2J': expected one of digits"],
    ),
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
def test_each_mistake_is_one_error_line_and_creates_no_workdir(
  tmp_path, args, faults
):
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
  assert all(len(line) < 2100 for line in errors)
  assert all(line.startswith('error: ') for line in errors)
  for fault in faults:
    assert sum(fault in line for line in errors) == 1, (fault, errors)
  assert not workdir.exists()


@pytest.mark.parametrize('name', ['HOME', 'unset'])
def test_home_that_is_no_folder_is_reported(tmp_path, monkeypatch, name):
  """Also where HOME is not set, for a user who is not in the password file."""
  monkeypatch.setenv(name, '/dev/null/home')  # libraries would make others
  program = 'main.py'
  if name == 'unset':
    monkeypatch.delenv('HOME')
    program = tmp_path / 'main.py'
    program.write_text(
      'import pwd, runpy\n'
      'pwd.getpwuid = {}.__getitem__\n'
      f'runpy.run_path({str(ROOT / "main.py")!r}, run_name="__main__")\n'
    )
  done = run(DIGITS, '--workdir=~/runs', program=(str(program),))
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert '--workdir=~/runs: ~/runs: ~ is no folder (is HOME set?)' in line
  assert not (ROOT / '~').exists()


def test_missing_or_unusable_config_and_workdir_are_reported(tmp_path):
  for args, fault in (
    ([], '--config is missing'),
    (['--config=configs/nothing.py', '--workdir=x'], 'configs/nothing.py'),
    ([DIGITS], '--workdir is missing'),
    (
      [DIGITS, '--workdir=README.md/x'],
      '--workdir=README.md/x cannot be written',
    ),
    ([DIGITS, '--workdir=README.md'], '--workdir=README.md cannot be written'),
    (
      [DIGITS, '--workdir=runs/[1]'],
      '--workdir cannot hold checkpoints: runs/',
    ),
    ([DIGITS, '--workdir=obs://bucket/run'], 'expected a local path, gs://'),
    ([DIGITS, '--mode=eval'], '--workdir is missing'),
    (['--config=README.md', '--workdir=x'], '--config=README.md: SyntaxError'),
    ([f'{DIGITS}:x', '--workdir=x'], 'configs/digits.py:x: TypeError'),
  ):
    done = run(*args)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert fault in line


def test_file_in_place_of_checkpoints_is_reported_and_preserved(tmp_path):
  (tmp_path / 'checkpoints').touch()
  done = run(DIGITS, f'--workdir={tmp_path}')
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert 'checkpoints: File exists' in line or 'Not a directory' in line
  assert (tmp_path / 'checkpoints').is_file()


def test_batch_size_that_does_not_divide_over_devices_is_reported(tmp_path):
  done = run(
    DIGITS, f'--workdir={tmp_path}/x', '--config.batch_size=30', devices=4
  )
  assert done.returncode == 2
  assert done.stderr == (
    'error: batch_size=30 does not divide over 4 devices; nearest that do: '
    '28, 32\n'
  )


def test_missing_tfds_dataset_is_reported_within_5_seconds(tmp_path):
  start = time.monotonic()
  done = run(
    '--config=configs/inception_v4.py',
    f'--workdir={tmp_path}/run',
    f'--config.data.dir={tmp_path}',
  )
  assert done.returncode == 2
  assert 'tools.prepare --source=tfds:imagenet2012' in done.stderr
  # Users are promised an error within five seconds.
  assert time.monotonic() - start < 5
