"""Training from start to end, stopped and resumed, and evaluated again."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest

from inception_jax.checkpointing import lookup
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluate
from inception_jax.evaluation import evaluator
from inception_jax.training import loop
from inception_jax.training import trainer
from tests.conftest import stored
from tests.conftest import tiny_config
from tests.support import tfds_sets


def run_of(workdir, config, mesh):
  return loop.train(config, str(workdir), mesh)


def lines(workdir, split):
  text = (pathlib.Path(workdir) / 'metrics.jsonl').read_text()
  return [
    line
    for line in map(json.loads, text.splitlines())
    if line['split'] == split
  ]


def same(a, b):
  """Whether two states are equal to the last bit."""
  assert jax.tree.structure(a) == jax.tree.structure(b)
  for (path, x), y in zip(
    jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True
  ):
    np.testing.assert_array_equal(x, y, err_msg=jax.tree_util.keystr(path))
  return True


class Stopped(Exception):
  """Stands for whatever ends a run between two steps."""


def stop_after(monkeypatch, steps):
  """The data breaks off after `steps` batches."""
  real = sharding.prefetch_to_devices

  def breaking(mesh, batches):
    for i, batch in enumerate(real(mesh, batches)):
      if i == steps:
        raise Stopped
      yield batch

  monkeypatch.setattr(sharding, 'prefetch_to_devices', breaking)


@pytest.mark.parametrize(('devices', 'split'), [(1, False), (8, True)])
def test_stop_and_resume_is_bitwise(
  tiny, tmp_path, monkeypatch, caplog, devices, split
):
  # Dropout, BN, EMA, aux head, shifts and colours are all on.
  assert tiny.model.dropout_rate and tiny.ema_decay and tiny.data.pad
  assert any(tiny.data.color_jitter) and tiny.model.aux_head
  mesh = sharding.make_mesh(jax.devices()[:devices])
  tiny.optimizer.shard_state = split
  tiny.train_for = '12 steps'
  tiny.checkpoint_every = '5 steps'
  tiny.eval_every = '12 steps'
  tiny.log_every = '1 step'
  straight = run_of(tmp_path / 'straight', tiny, mesh)

  with monkeypatch.context() as patch, pytest.raises(Stopped):
    stop_after(patch, 7)  # two steps after the checkpoint
    run_of(tmp_path / 'stopped', tiny, mesh)
  assert lines(tmp_path / 'stopped', 'train')[-1]['step'] == 7
  with caplog.at_level('INFO', 'inception_jax'):
    resumed = run_of(tmp_path / 'stopped', tiny, mesh)
  assert 'resuming after step 5 of 12' in caplog.text

  a, b = (stored(tmp_path / name, 12) for name in ('straight', 'stopped'))
  assert same(a, b)
  for key in ('step', 'loss', 'top1', 'top5', 'count'):
    assert straight[key] == resumed[key]
  # The log goes on where it was, and says the same of the same steps.
  written = lines(tmp_path / 'stopped', 'train')
  by_step = {line['step']: line for line in written}
  assert [line['step'] for line in written] == list(range(1, 13))
  for line in lines(tmp_path / 'straight', 'train'):
    assert by_step[line['step']]['loss'] == line['loss']


def short_config():
  config = tiny_config()
  config.train_for = '6 steps'
  config.eval_every = '2 steps'
  config.checkpoint_every = '2 steps'
  config.log_every = '3 steps'
  config.histogram_every = '6 steps'
  return config


@pytest.fixture(scope='module')
def trained(tmp_path_factory, one_device):
  workdir = tmp_path_factory.mktemp('run')
  return workdir, run_of(workdir, short_config(), one_device)


@pytest.fixture
def finished(trained):
  """(config, workdir, result) of a finished run, which nobody may change."""
  return short_config(), *trained


def test_what_a_run_leaves(finished):
  config, workdir, result = finished
  assert result['step'] == 6
  assert result['count'] == 360
  assert result['images_per_sec'] > 0
  assert json.loads((workdir / 'config.json').read_text()) == json.loads(
    json.dumps(config.to_dict())
  )
  assert [line['step'] for line in lines(workdir, 'train')] == [3, 6]
  evaluations = lines(workdir, 'eval')
  assert [line['step'] for line in evaluations] == [2, 4, 6]
  assert evaluations[-1]['loss'] == result['loss']
  raw = lines(workdir, 'eval_raw')
  assert [line['step'] for line in raw] == [2, 4, 6]
  assert raw[-1]['loss'] != result['loss'] and raw[-1]['count'] == 360
  table = (workdir / 'parameters.txt').read_text()
  assert 'mixed_2a/branch0_0/conv/kernel' in table and '(1, 1, 16, 8)' in table
  assert {line['count'] for line in lines(workdir, 'train')} == {48}
  for key in ('learning_rate', 'grad_norm', 'images_per_sec', 'data_wait'):
    assert key in lines(workdir, 'train')[0]
  assert not list(workdir.glob('*.unfinished'))


def test_a_new_best_is_saved_between_checkpoints(
  tmp_path, one_device, monkeypatch
):
  config = short_config()
  config.model.update(name='tiniest', aux_head=False)
  config.checkpoint_every = '4 steps'
  config.checkpoint_keep = 1
  config.ema_decay = 0.0
  scores = {2: 0.1, 4: 0.9, 6: 0.3, 8: 0.95, 10: 0.5, 12: 0.2}
  calls = []

  def scripted(self, variables, before_batch):
    calls.append(2 * len(calls) + 2)
    top1 = scores[calls[-1]]
    return evaluator.Evaluation(
      {'loss': 1.0, 'top1': top1, 'top5': 1.0, 'count': 360}, []
    )

  monkeypatch.setattr(evaluator.Evaluator, '__call__', scripted)
  on_disk = lambda: sorted(
    int(path.name) for path in lookup.checkpoint_folder(tmp_path).iterdir()
  )
  config.train_for = '2 steps'
  run_of(tmp_path, config, one_device)
  assert on_disk() == [2]
  config.train_for = '6 steps'
  run_of(tmp_path, config, one_device)
  assert on_disk() == [4, 6]
  config.checkpoint_every = '100 steps'
  config.train_for = '10 steps'
  run_of(tmp_path, config, one_device)
  assert on_disk() == [8, 10]
  # The best score outlives the process: 0.2 does not replace 0.95.
  config.train_for = '12 steps'
  run_of(tmp_path, config, one_device)
  assert on_disk() == [8, 12]


def test_changed_keys_are_named_on_resume(
  finished, one_device, tmp_path, caplog
):
  config, workdir, result = finished
  workdir = shutil.copytree(workdir, tmp_path / 'copy')
  config.seed = 7
  config.schedule.learning_rate = 0.5
  config.log_every = '2 steps'
  before = (workdir / 'config.json').read_text()
  assert run_of(workdir, config, one_device) == result
  # It is complete, so what it was trained with stays on record.
  assert (workdir / 'config.json').read_text() == before
  assert 'changed since this run began: seed: 0 → 7' in caplog.text
  assert 'schedule.learning_rate: 0.05 → 0.5' in caplog.text
  assert caplog.text.count('changed since this run began') == 3

  # With steps left to train, what changes the arithmetic is refused.
  config.train_for = '7 steps'
  with pytest.raises(UserError) as caught:
    run_of(workdir, config, one_device)
  says, *faults = caught.value.faults
  assert '--config.allow_changed=schedule.learning_rate,seed' in says
  assert faults == [
    '  schedule.learning_rate: 0.05 → 0.5',
    '  seed: 0 → 7',
  ]
  assert (workdir / 'config.json').read_text() == before
  config.allow_changed = 'schedule.*, seed'
  assert run_of(workdir, config, one_device)['step'] == 7
  assert json.loads((workdir / 'config.json').read_text())['seed'] == 7


def test_a_diverged_training_ends(tiny, tmp_path, one_device):
  tiny.train_for = '9 steps'
  tiny.optimizer.name = 'sgd'
  tiny.schedule.warmup = '2 steps'  # the first of them at a rate of 0
  tiny.schedule.learning_rate = 1e30
  tiny.checkpoint_every = '1 step'
  tiny.ema_decay = 0.0
  with pytest.raises(FloatingPointError, match='step 2: the loss') as caught:
    run_of(tmp_path, tiny, one_device)
  (good,) = (path.name for path in lookup.checkpoint_folder(tmp_path).iterdir())
  assert good == '1'
  assert (
    f'last good checkpoint is {lookup.checkpoint_folder(tmp_path) / "1"}'
    in str(caught.value)
  )


def test_tensorboard_has_the_same_curves(finished):
  from tensorboard.backend.event_processing import event_accumulator
  from tensorboard.util import tensor_util

  _, workdir, _ = finished
  accumulator = event_accumulator.EventAccumulator(
    str(workdir), size_guidance={'tensors': 0}
  )
  accumulator.Reload()
  points = {
    event.step: float(tensor_util.make_ndarray(event.tensor_proto))
    for event in accumulator.Tensors('eval/loss')
  }
  expected = {line['step']: line['loss'] for line in lines(workdir, 'eval')}
  assert points.keys() == expected.keys()
  np.testing.assert_allclose(
    list(points.values()), list(expected.values()), rtol=1e-6
  )


def test_tensorboard_has_norms_and_histograms(finished):
  from tensorboard.backend.event_processing import event_accumulator
  from tensorboard.util import tensor_util

  _, workdir, _ = finished
  accumulator = event_accumulator.EventAccumulator(
    str(workdir), size_guidance={'tensors': 0}
  )
  accumulator.Reload()
  of = lambda tag: {
    event.step: tensor_util.make_ndarray(event.tensor_proto)
    for event in accumulator.Tensors(tag)
  }
  kernel = stored(workdir, 6)['params']['conv_1a']['conv']['kernel']
  (histogram,) = of('conv_1a/conv/kernel').values()
  assert histogram[:, 2].sum() == kernel.size
  assert histogram[0, 0] == pytest.approx(kernel.min(), rel=1e-5)
  # The stages' norms make up the whole.
  for kind in ('grad_norm', 'param_norm'):
    stages = [
      of(tag) for tag in accumulator.Tags()['tensors'] if kind + 's/' in tag
    ]
    assert len(stages) == 6
    for step, whole in of(f'train/{kind}').items():
      squares = sum(float(stage[step]) ** 2 for stage in stages)
      np.testing.assert_allclose(squares**0.5, whole, rtol=1e-4)


def test_a_training_stops_at_its_target(tmp_path, one_device, caplog):
  config = short_config()
  config.stop_at_top1 = 1e-9
  with caplog.at_level('INFO', 'inception_jax'):
    result = run_of(tmp_path, config, one_device)
    assert result['step'] == 2 and result['top1'] > 0
    assert 'step 2 reaches stop_at_top1=1e-09' in caplog.text
    assert run_of(tmp_path, config, one_device) == result
  assert 'is complete: step 2 of 6' in caplog.text


def test_a_complete_run_is_not_run_again(
  finished, one_device, monkeypatch, caplog
):
  config, workdir, result = finished
  monkeypatch.setattr(trainer.Trainer, 'compile', None)
  with caplog.at_level('INFO', 'inception_jax'):
    assert run_of(workdir, config, one_device) == result
  assert 'is complete: step 6 of 6' in caplog.text


def evaluated(config, workdir, mesh, which='latest', ema=True):
  options = evaluate.Options((which,), ema)
  return evaluate.evaluate(config, str(workdir), mesh, options).result


@pytest.mark.parametrize('which', ['latest', 'best', '4', 'path'])
def test_evaluation_repeats_what_training_saw(finished, one_device, which):
  config, workdir, _ = finished
  scores = {line['step']: line for line in lines(workdir, 'eval')}
  top = max(line['top1'] for line in scores.values())
  if which == 'path':
    which = str(lookup.checkpoint_folder(workdir) / '4')
  result = evaluated(config, workdir, one_device, which)
  assert result == {key: scores[result['step']][key] for key in result}
  if which == 'best':
    assert result['top1'] == top
  else:
    assert result['step'] == {'latest': 6}.get(which, 4)


@pytest.mark.parametrize(
  ('batch_size', 'devices'), [(11, 1), (7, 8), (360, 3), (999, 8)]
)
def test_evaluation_is_exact_at_any_batch_and_device_count(
  finished, batch_size, devices
):
  config, workdir, result = finished
  config.batch_size = batch_size
  mesh = sharding.make_mesh(jax.devices()[:devices])
  again = evaluated(config, workdir, mesh)
  for key in ('step', 'top1', 'top5', 'count'):
    assert again[key] == result[key]
  np.testing.assert_allclose(again['loss'], result['loss'], atol=1e-5)


def test_a_damaged_checkpoint_is_set_aside_and_the_end_is_the_same(
  finished, one_device, tmp_path, caplog
):
  config, workdir, result = finished
  workdir = shutil.copytree(workdir, tmp_path / 'copy')
  expected, before = stored(workdir, 6), lines(workdir, 'eval')
  (data, *_) = (
    path
    for path in sorted((workdir / 'checkpoints' / '6').rglob('d/*'))
    if path.stat().st_size > 10_000
  )
  content = bytearray(data.read_bytes())
  content[len(content) // 2] ^= 4  # one bit
  data.write_bytes(content)
  assert evaluated(config, workdir, one_device)['step'] == 4
  with pytest.raises(UserError, match='6 is damaged'):
    evaluated(config, workdir, one_device, '6')
  caplog.clear()
  again = run_of(workdir, config, one_device)
  assert 'checkpoints/6 is damaged' in caplog.text
  assert 'taking step 4' in caplog.text
  assert {**again, 'images_per_sec': 0} == {**result, 'images_per_sec': 0}
  names = sorted(
    path.name for path in lookup.checkpoint_folder(workdir).iterdir()
  )
  assert names == ['2', '4', '6', '6.damaged']
  assert same(stored(workdir, 6), expected)
  assert lines(workdir, 'eval') == before  # not written twice


def test_a_longer_training_goes_on(finished, one_device, tmp_path):
  config, workdir, _ = finished
  workdir = shutil.copytree(workdir, tmp_path / 'copy')
  config.train_for = '8 steps'
  result = run_of(workdir, config, one_device)
  assert result['step'] == 8
  assert [line['step'] for line in lines(workdir, 'eval')] == [2, 4, 6, 8]


def test_a_training_cut_short_at_an_unevaluated_checkpoint(
  finished, one_device, tmp_path
):
  config, _, _ = finished
  config.eval_every = '6 steps'
  config.checkpoint_keep = 9
  run_of(tmp_path, config, one_device)
  shutil.rmtree(lookup.checkpoint_folder(tmp_path) / '6')
  config.train_for = '4 steps'
  result = run_of(tmp_path, config, one_device)
  assert (result['step'], result['count']) == (4, 360)


def test_a_missing_split_leaves_no_workdir(finished, one_device, tmp_path):
  config, _, _ = finished
  tfds_sets.write(tmp_path / 'data')
  config.data.source = 'tfds:shapes'
  config.data.dir = str(tmp_path / 'data')
  config.data.eval_split = 'validation'
  with pytest.raises(UserError, match="no split 'validation'"):
    run_of(tmp_path / 'run', config, one_device)
  config.data.eval_split = 'test'
  config.model.num_classes = 2
  with pytest.raises(UserError, match='has 3 classes'):
    run_of(tmp_path / 'run', config, one_device)
  assert not (tmp_path / 'run').exists()


def test_evaluation_uses_the_average(finished, one_device):
  config, workdir, result = finished
  raw = evaluated(config, workdir, one_device, ema=False)
  assert raw['loss'] != result['loss']


def test_fine_tuning_the_head_alone_leaves_the_rest_bitwise(
  finished, one_device, tmp_path
):
  config, source, _ = finished
  config.train_for = '2 steps'
  config.fine_tune.checkpoint = str(source)
  config.fine_tune.freeze = ('!head', '*')
  config.optimizer.rates = (('head', 10.0), ('*', 1.0))
  run_of(tmp_path, config, one_device)
  before, after = stored(source, 6)['ema'], stored(tmp_path, 2)
  for kind in ('params', 'batch_stats'):
    for (path, x), y in zip(
      jax.tree_util.tree_leaves_with_path(before[kind]),
      jax.tree.leaves(after[kind]),
      strict=True,
    ):
      name = jax.tree_util.keystr(path, simple=True, separator='/')
      if name.startswith('head/'):
        assert not np.array_equal(x, y), name
      else:
        np.testing.assert_array_equal(x, y, err_msg=name)

  config.fine_tune.freeze = ('conv_9z',)
  with pytest.raises(UserError, match="'conv_9z' matches no parameter"):
    run_of(tmp_path / 'other', config, one_device)


def test_the_raw_weights_are_not_evaluated_unless_asked(tmp_path, one_device):
  config = short_config()
  config.model.update(name='tiniest', aux_head=False)
  config.train_for, config.eval_raw = '2 steps', False
  result = run_of(tmp_path, config, one_device)
  assert not lines(tmp_path, 'eval_raw')
  assert lines(tmp_path, 'eval')[0]['loss'] == result['loss']


def test_a_profile_traces_the_steps_asked_for(tmp_path, one_device, caplog):
  config = short_config()
  config.model.update(name='tiniest', aux_head=False)
  config.profile, config.profile_from = '2 steps', '3 steps'
  with caplog.at_level('INFO', 'inception_jax'):
    run_of(tmp_path, config, one_device)
  assert 'tracing steps 4 to 5' in caplog.text
  traces = list(tmp_path.glob('plugins/profile/*/*'))
  assert {path.suffix for path in traces} >= {'.pb', '.gz'}
