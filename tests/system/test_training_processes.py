"""Training by several processes gives the result of one."""

import json
import shutil
import signal
import time

import numpy as np
from PIL import Image
import pytest

from configs import digits
from inception_jax.training import loop
from tests.support.checkpoints import names_in
from tests.support.commands import ROOT
from tests.support.hosts import hosts
from tests.support.hosts import wait_all

# main.py with the networks of tests.support.tiny.
TINY = {'program': ('-m', 'tests.support.tiny')}
# The second checkpoint is at the end.
STEPS, CHECKPOINT, LOST = 20, 10, 3
CHANGES = {
  'model.name': 'tiniest',
  'model.width': 1.0,
  'data.image_size': 9,
  'batch_size': 16,
  'train_for': f'{STEPS} steps',
  'schedule.warmup': '2 steps',
  'checkpoint_every': f'{CHECKPOINT} steps',
  'eval_every': f'{STEPS} steps',
  'log_every': '1 step',
  # Fewer arrays to all-reduce, which is slow on a CPU.
  'ema_decay': 0.0,
  'model.aux_head': False,
}


def training(workdir):
  return [
    f'--config={ROOT}/configs/digits.py',
    f'--workdir={workdir}',
    *(f'--config.{key}={value}' for key, value in CHANGES.items()),
  ]


def logged(workdir):
  """{split: {step: line}}."""
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  found = {}
  for line in map(json.loads, lines):
    found.setdefault(line['split'], {})[line['step']] = line
  return found


def losses(workdir):
  found = logged(workdir)
  assert list(found['train']) == list(range(1, STEPS + 1))
  train = [line['loss'] for line in found['train'].values()]
  return np.array(train), list(found['eval'].values())


def finished(processes):
  """The result that process 0 prints; the others print none."""
  results = []
  for status, out, error in wait_all(processes):
    assert status == 0, error
    results += [x for x in out.splitlines() if x.startswith('{')]
  (result,) = results
  return json.loads(result)


@pytest.fixture(scope='module')
def single(tmp_path_factory, eight_devices):
  """The same training by this process."""
  workdir = tmp_path_factory.mktemp('single')
  config = digits.get_config()
  config.update_from_flattened_dict(CHANGES)
  return workdir, loop.train(config, str(workdir), eight_devices)


def assert_same(workdir, result, single):
  expected, scores = single
  train, evaluations = losses(workdir)
  expected_train, expected_evaluations = losses(expected)
  np.testing.assert_allclose(train, expected_train, atol=1e-5)
  assert [x['count'] for x in evaluations] == [
    x['count'] for x in expected_evaluations
  ]
  for key in ('top1', 'top5', 'count'):
    assert result[key] == scores[key]
  assert result['loss'] == pytest.approx(scores['loss'], abs=1e-5)


@pytest.mark.slow
def test_four_processes_train_as_one(single, tmp_path):
  with hosts(4, tmp_path) as four:
    result = finished(
      four.start(*training(tmp_path / 'run'), devices=2, **TINY)
    )
  assert_same(tmp_path / 'run', result, single)


def beyond_checkpoint(workdir) -> bool:
  """Whether the first checkpoint is saved, and LOST more steps are logged."""
  if not (workdir / 'checkpoints' / str(CHECKPOINT)).exists():
    return False
  lines = (workdir / 'metrics.jsonl').read_text().count('\n')
  return lines >= CHECKPOINT + LOST


@pytest.mark.slow
def test_killed_process_is_reported_and_all_resume(single, tmp_path):
  workdir = tmp_path / 'run'
  # Shards the optimizer's state over all processes.
  args = (*training(workdir), '--config.optimizer.shard_state')
  with hosts(2, tmp_path) as two:
    first, second = two.start(*args, devices=4, **TINY)
    while not beyond_checkpoint(workdir):
      assert first.poll() is None, first.communicate()
      time.sleep(0.01)
    second.send_signal(signal.SIGKILL)
    (status, _, error), _ = wait_all([first, second])
    assert f'error: lost process 1 on {two.names[1]}' in error
    assert status == 75, error
    before = logged(workdir)['train']
    # What is damaged or left over is moved and deleted by one process.
    folder = workdir / 'checkpoints'
    shutil.copytree(folder / str(CHECKPOINT), folder / f'{CHECKPOINT + 1}')
    (folder / '9.deleted').mkdir()
    result = finished(two.start(*args, devices=4, **TINY))
  assert names_in(folder) == [
    *(str(CHECKPOINT), f'{CHECKPOINT + 1}.damaged', str(STEPS))
  ]
  assert_same(workdir, result, single)
  # The steps lost by the kill are repeated bitwise.
  after = logged(workdir)['train']
  lost = [step for step in before if step > CHECKPOINT]
  assert len(lost) >= LOST
  for step in lost:
    for key in ('loss', 'grad_norm', 'param_norm'):
      assert before[step][key] == after[step][key], (step, key)


@pytest.mark.slow
def test_hosts_with_different_files_are_reported(tmp_path):
  """One of the hosts lacks an image, and has two labels swapped."""
  for i in range(2):
    data = tmp_path / str(i) / 'data'
    for name in ('0/a.png', '0/b.png', '1/a.png', '1/b.png')[i:]:
      path = data / 'val' / name
      path.parent.mkdir(parents=True, exist_ok=True)
      Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(path)
    shutil.copytree(tmp_path / '0' / 'data' / 'val', data / 'images')
    labels = zip(('0/a', '0/b', '1/a', '1/b'), (0, i, 1 - i, 1), strict=True)
    lines = [f'images/{name}.png {label}\n' for name, label in labels]
    (data / 'train_list.txt').write_text(''.join(lines))
  args = (
    *training(tmp_path / 'run'),
    '--config.data.source=folder',
    '--config.data.dir=/proc/self/cwd/data',
    '--config.data.eval_split=val',
  )
  with hosts(2, tmp_path) as two:
    cwds = [str(tmp_path / str(i)) for i in range(2)]
    outcomes = wait_all(two.start(*args, devices=1, cwds=cwds, **TINY))
  for status, _, error in outcomes:
    assert status == 2, error
    faults = [x for x in error.splitlines() if x.startswith('error: ')]
    assert faults[:2] == [
      f'error: process 1 on {two.names[1]} has other images to {what} on than '
      f'process 0 on {two.names[0]}: do they see the same files?'
      for what in ('train', 'evaluate')
    ]
  assert not (tmp_path / 'run').exists()
