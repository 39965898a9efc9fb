"""Starting from scratch, from weights and from a checkpoint."""

import json
import shutil

import jax
import numpy as np
import pytest

from inception_jax.checkpointing import lookup
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluate
from inception_jax.runtime import metrics_file
from inception_jax.training import loop
from inception_jax.training import restore
from inception_jax.training import run as run_lib
from tests.support import pictures as pictures_lib
from tests.support.checkpoints import names_in
from tests.support.checkpoints import read_with_orbax
from tests.support.image_folders import write_image
from tests.support.runs import assert_equal_states
from tests.support.runs import metrics
from tests.support.runs import short_config
from tests.support.runs import train
from tests.support.tiny import tiniest_config


@pytest.fixture
def started(tmp_path, one_device):
  """A function of a config that returns the run and its start."""

  def start(config, workdir=tmp_path / 'run', save=False, without=''):
    run = run_lib.prepare(config, str(workdir), one_device)
    with run_lib.open_checkpoints(run) as checkpoints:
      found = restore.restore_or_initialize(run, checkpoints)
      if save:
        scores = {'loss': 1.0, 'top1': 0.5, 'top5': 0.9, 'count': 360}
        config = run.config.to_dict()
        config['data'].pop(without, None)  # as an earlier version, say
        checkpoints.save(vars(found.state), scores, run.network, config)
    return run, found

  return start


@pytest.fixture
def config():
  config = tiniest_config()
  config.train_for = '6 steps'
  return config


def test_numbers_that_were_sorted_as_text_stay_so(started, tmp_path):
  for split in ('train', 'val'):
    for i in range(11):
      write_image(tmp_path / split / str(i) / 'a.png', 10 * i)
  config = tiniest_config()
  config.data.update(source='folder', dir=str(tmp_path), eval_split='val')
  config.data.class_order = 'text'
  config.batch_size = 8
  before, _ = started(config, save=True, without='class_order')
  assert before.split.class_names[:4] == ('0', '1', '10', '2')
  config.data.class_order = ''
  after, start = started(config)
  assert after.split.class_names == before.split.class_names
  assert after.data == before.data
  assert start.state is not None


@pytest.mark.slow
def test_resume_on_other_data_is_logged(tmp_path, one_device, caplog):
  folder, workdir = tmp_path / 'data', tmp_path / 'run'
  for split in ('train', 'val'):
    for i, name in enumerate(('a/0', 'a/1', 'b/0', 'b/1')):
      write_image(folder / split / f'{name}.png', 10 * i)
  config = tiniest_config()
  config.data.update(source='folder', dir=str(folder), eval_split='val')
  config.batch_size, config.train_for = 4, '2 steps'
  train(workdir, config, one_device)
  config.train_for = '3 steps'
  folder = folder.rename(tmp_path / 'moved')
  config.data.dir = str(folder)
  (folder / 'val' / 'a' / '0.png').rename(folder / 'val' / 'a' / '2.png')
  train(workdir, config, one_device)
  (line,) = (x for x in caplog.messages if 'the checkpoint was saved' in x)
  assert line.startswith(
    '4 images to evaluate on, 4 when the checkpoint was saved, with other names'
  )


def test_new_workdir_starts_from_scratch(started, config, tmp_path):
  run, start = started(config)
  assert (start.step, start.scores, start.complete) == (0, {}, False)
  assert start.state.step == 0 and run.weights is None
  assert not (tmp_path / 'run').exists()


def test_fine_tuning_starts_from_the_given_weights(started, config, tmp_path):
  source = tmp_path / 'source'
  _, first = started(config, source, save=True)
  config.seed = 5
  config.fine_tune.checkpoint = str(source)
  _, start = started(config)
  assert start.step == 0 and start.scores == {}
  for a, b in zip(
    jax.tree.leaves(start.state.params),
    jax.tree.leaves(first.state.params),
    strict=True,
  ):
    np.testing.assert_array_equal(a, b)


def test_checkpoint_is_restored_with_its_scores(started, config, tmp_path):
  started(config, save=True)
  _, start = started(config)
  assert start.step == 0 and start.scores['top1'] == 0.5
  assert not start.changed and not start.complete
  on_disk = read_with_orbax(tmp_path / 'run', 0)
  for name in ('params', 'batch_stats'):
    for a, b in zip(
      jax.tree.leaves(getattr(start.state, name)),
      jax.tree.leaves(on_disk[name]),
      strict=True,
    ):
      np.testing.assert_array_equal(a, b)


def test_run_that_reached_its_target_is_complete(started, config):
  started(config, save=True)
  config.stop_at_top1 = 0.5
  _, start = started(config)
  assert start.complete
  assert start.state is None
  assert start.scores['top1'] == 0.5


@pytest.mark.slow
def test_changed_keys_are_logged_and_those_of_the_arithmetic_refused(
  run_copy, one_device, caplog
):
  workdir, result = run_copy
  config = short_config()
  config.seed = 7
  config.schedule.learning_rate = 0.5
  config.log_every = '2 steps'
  before = (workdir / 'config.json').read_text()
  assert train(workdir, config, one_device) == result
  # The run is complete, so config.json still shows how it was trained.
  assert (workdir / 'config.json').read_text() == before
  assert 'changed since this run began: seed: 0 → 7' in caplog.text
  assert 'schedule.learning_rate: 0.05 → 0.5' in caplog.text
  assert caplog.text.count('changed since this run began') == 3

  # With steps left to train, changes of the arithmetic are refused.
  config.train_for = '7 steps'
  with pytest.raises(UserError) as caught:
    train(workdir, config, one_device)
  message, *faults = caught.value.faults
  assert '--config.allow_changed=schedule.learning_rate,seed' in message
  assert faults == [
    '  schedule.learning_rate: 0.05 → 0.5',
    '  seed: 0 → 7',
  ]
  assert (workdir / 'config.json').read_text() == before
  config.allow_changed = 'schedule.*, seed'
  assert train(workdir, config, one_device)['step'] == 7
  assert json.loads((workdir / 'config.json').read_text())['seed'] == 7


@pytest.mark.slow
def test_resume_with_other_classes_is_refused(pictures, one_device, tmp_path):
  for split in ('train', 'val'):
    shutil.copytree(pictures / 'val', tmp_path / 'data' / split)
  config = pictures_lib.config_of(tmp_path / 'data')
  config.train_for = config.eval_every = '2 steps'
  train(tmp_path / 'run', config, one_device)
  for split in ('train', 'val'):
    # The toad becomes a bee: each class before it gets the next number.
    folder = tmp_path / 'data' / split
    (folder / 'toad').rename(folder / 'bee')
  # The run is complete: nothing is trained, and no error raised.
  train(tmp_path / 'run', config, one_device)
  config.train_for = '3 steps'
  with pytest.raises(UserError, match='trained on other classes') as error:
    train(tmp_path / 'run', config, one_device)
  assert "  0: 'cat' → 'bee'" in error.value.faults


@pytest.mark.slow
def test_damaged_checkpoint_is_renamed_and_training_repeated_bitwise(
  run_copy, one_device, caplog
):
  workdir, result = run_copy
  config = short_config()

  def evaluated_step(checkpoint):
    options = evaluate.Options((checkpoint,))
    found = evaluate.evaluate(config, str(workdir), one_device, options)
    return found.result['step']

  expected, before = read_with_orbax(workdir, 6), metrics(workdir, 'eval')
  data = max(
    (workdir / 'checkpoints' / '6').rglob('d/*'),
    key=lambda path: path.stat().st_size,
  )
  content = bytearray(data.read_bytes())
  content[len(content) // 2] ^= 4  # one bit
  data.write_bytes(content)
  assert evaluated_step('latest') == 4
  with pytest.raises(UserError, match='6 is damaged'):
    evaluated_step('6')
  caplog.clear()
  again = train(workdir, config, one_device)
  assert 'checkpoints/6 is damaged' in caplog.text
  assert 'taking step 4' in caplog.text
  assert {**again, 'images_per_sec': 0} == {**result, 'images_per_sec': 0}
  names = names_in(lookup.checkpoint_folder(workdir))
  assert names == ['2', '4', '6', '6.damaged']
  assert_equal_states(read_with_orbax(workdir, 6), expected)
  assert metrics(workdir, 'eval') == before  # not written twice


@pytest.mark.slow
def test_shortened_training_is_evaluated_at_its_last_checkpoint(
  one_device, tmp_path, monkeypatch
):
  config = short_config()
  config.eval_every = '6 steps'
  config.checkpoint_keep = 9
  train(tmp_path, config, one_device)
  shutil.rmtree(lookup.checkpoint_folder(tmp_path) / '6')
  config.train_for = '4 steps'
  result = train(tmp_path, config, one_device)
  assert (result['step'], result['count']) == (4, 360)
  assert metrics(tmp_path, 'eval')[-1]['step'] == 4
  # Scored, it is complete.
  monkeypatch.setattr(loop, 'Session', None)
  again = train(tmp_path, config, one_device)
  assert again.keys() == result.keys() and again['loss'] == result['loss']


@pytest.mark.slow
@pytest.mark.parametrize('steps', [6, 8])
def test_damaged_lines_of_metrics_lose_no_scores(
  run_copy, one_device, caplog, steps
):
  """At the next start, of a complete run and of one with steps left."""
  workdir, _ = run_copy
  config = short_config()
  config.train_for = f'{steps} steps'
  path = workdir / 'metrics.jsonl'
  expected = metrics_file.read(workdir)
  lines = path.read_bytes().splitlines(keepends=True)
  (best,) = (i for i, x in enumerate(lines) if b'6, "split": "eval"' in x)
  lines[best] = lines[best].replace(b'top1', b'top\xb1')
  path.write_bytes(b''.join(lines))
  train(workdir, config, one_device)
  assert f'line {best + 1}, is damaged and moved to' in caplog.text
  assert (workdir / 'metrics.jsonl.damaged').read_bytes() == lines[best]
  found = metrics_file.read(workdir)
  by_step = lambda values: (values['step'], values['split'])
  restored = [x for x in found if x['step'] <= 6]
  (line,) = (x for x in expected if by_step(x) == (6, 'eval'))
  line.pop('eval_images_per_sec')  # no score: checkpoints do not have it
  assert sorted(restored, key=by_step) == sorted(expected, key=by_step)
  assert max(x['step'] for x in found) == steps
