"""Logging, evaluating, saving and profiling in a training."""

import json

import numpy as np
import pytest

from inception_jax.checkpointing import lookup
from inception_jax.config import serialization
from inception_jax.evaluation import evaluator
from tests.support.checkpoints import read_with_orbax
from tests.support.runs import metrics
from tests.support.runs import short_config
from tests.support.runs import train


@pytest.fixture
def config():
  return short_config()


def test_metrics_of_training_and_both_evaluations_are_written(finished_run):
  workdir, result = finished_run
  assert result['step'] == 6
  assert result['count'] == 360
  assert result['images_per_sec'] > 0
  assert [line['step'] for line in metrics(workdir, 'train')] == [3, 6]
  evaluations = metrics(workdir, 'eval')
  assert [line['step'] for line in evaluations] == [2, 4, 6]
  assert evaluations[-1]['loss'] == result['loss']
  raw = metrics(workdir, 'eval_raw')
  assert [line['step'] for line in raw] == [2, 4, 6]
  assert raw[-1]['loss'] != result['loss'] and raw[-1]['count'] == 360
  assert {line['count'] for line in metrics(workdir, 'train')} == {48}
  speeds = ('images_per_sec', 'ms_per_step', 'sec_per_epoch', 'data_wait')
  for key in ('learning_rate', 'grad_norm', *speeds):
    assert key in metrics(workdir, 'train')[0]
  assert all(x['eval_images_per_sec'] > 0 for x in evaluations + raw)
  assert not list(workdir.glob('*.unfinished'))


@pytest.mark.slow
def test_raw_weights_are_evaluated_only_with_eval_raw(
  config, tmp_path, one_device
):
  config.train_for, config.eval_raw = '2 steps', False
  result = train(tmp_path, config, one_device)
  assert not metrics(tmp_path, 'eval_raw')
  assert metrics(tmp_path, 'eval')[0]['loss'] == result['loss']


@pytest.mark.slow
def test_cold_statistics_are_a_warning_once(
  config, tmp_path, one_device, caplog
):
  config.train_for, config.model.bn_momentum = '4 steps', 0.9997
  train(tmp_path, config, one_device)
  # 0.9997 ** 9986 < 0.05 < 0.9997 ** 9985
  (line,) = [x for x in caplog.messages if 'moving statistics' in x]
  assert 'still 99.9% their initial values after step 2' in line
  assert 'before step 9985' in line


@pytest.mark.slow
def test_new_best_is_saved_between_checkpoints(
  config, tmp_path, one_device, monkeypatch
):
  config.checkpoint_every = '4 steps'
  config.checkpoint_keep = 1
  config.ema_decay = 0.0
  top1 = {2: 0.1, 4: 0.9, 6: 0.3, 8: 0.95, 10: 0.5, 12: 0.2}
  steps = []

  def scripted(self, variables, before_batch):
    steps.append(2 * len(steps) + 2)
    return evaluator.Evaluation(
      {'loss': 1.0, 'top1': top1[steps[-1]], 'top5': 1.0, 'count': 360}, [], 1.0
    )

  monkeypatch.setattr(evaluator.Evaluator, '__call__', scripted)
  on_disk = lambda: sorted(
    int(path.name) for path in lookup.checkpoint_folder(tmp_path).iterdir()
  )
  config.train_for = '2 steps'
  train(tmp_path, config, one_device)
  assert on_disk() == [2]
  config.train_for = '6 steps'
  train(tmp_path, config, one_device)
  assert on_disk() == [4, 6]
  config.checkpoint_every = '100 steps'
  config.train_for = '10 steps'
  train(tmp_path, config, one_device)
  assert on_disk() == [8, 10]
  # The best score outlives the process: 0.2 does not replace 0.95.
  config.train_for = '12 steps'
  train(tmp_path, config, one_device)
  assert on_disk() == [8, 12]


def events(folder):
  """The TensorBoard events of a folder, without those of its subfolders."""
  from tensorboard.backend.event_processing import event_accumulator

  (path,) = folder.glob('events.out.tfevents.*')
  read = event_accumulator.EventAccumulator(
    str(path), size_guidance={'tensors': 0}
  )
  return read.Reload()


def curves_of(folder):
  """{tag: {step: value}}."""
  from tensorboard.util import tensor_util

  read = events(folder)
  return {
    tag: {
      event.step: tensor_util.make_ndarray(event.tensor_proto)
      for event in read.Tensors(tag)
    }
    for tag in read.Tags()['tensors']
  }


def test_tensorboard_has_curves_of_training_and_evaluation_in_one_chart(
  finished_run,
):
  workdir, _ = finished_run
  for split in ('train', 'eval'):
    points = curves_of(workdir / split)['loss']
    expected = {line['step']: line['loss'] for line in metrics(workdir, split)}
    assert points.keys() == expected.keys()
    np.testing.assert_allclose(
      [*map(float, points.values())], list(expected.values()), rtol=1e-6
    )


def test_tensorboard_has_the_config_of_the_run(finished_run):
  from tensorboard.plugins.hparams import metadata

  workdir, _ = finished_run
  tag = metadata.SESSION_START_INFO_TAG
  content = events(workdir).SummaryMetadata(tag)
  found = metadata.parse_session_start_info_plugin_data(
    content.plugin_data.content
  ).hparams
  config = json.loads((workdir / 'config.json').read_text())
  assert found.keys() == dict(serialization.flatten(config)).keys()
  assert found['batch_size'].number_value == config['batch_size']
  assert found['deterministic'].HasField('bool_value')
  assert found['data.source'].string_value == config['data']['source']
  assert found['data.crop_area'].string_value.startswith('(')


def test_tensorboard_has_norms_and_histograms(finished_run):
  workdir, _ = finished_run
  points = curves_of(workdir / 'train')
  params = read_with_orbax(workdir, 6)['params']
  kernel = params['conv_1a']['conv']['kernel']
  (histogram,) = points['conv_1a/conv/kernel'].values()
  assert histogram[:, 2].sum() == kernel.size
  assert histogram[0, 0] == pytest.approx(kernel.min(), rel=1e-5)
  # The squared norms of the stages add up to that of the network.
  for kind in ('grad_norm', 'param_norm'):
    stages = [points[tag] for tag in points if kind + 's/' in tag]
    assert len(stages) == 3
    for step, whole in points[kind].items():
      squares = sum(float(stage[step]) ** 2 for stage in stages)
      np.testing.assert_allclose(squares**0.5, whole, rtol=1e-4)


@pytest.mark.slow
def test_profile_traces_the_requested_steps(
  config, tmp_path, one_device, caplog
):
  config.profile, config.profile_from = '2 steps', '3 steps'
  with caplog.at_level('INFO', 'inception_jax'):
    train(tmp_path, config, one_device)
  assert 'tracing steps 4 to 5' in caplog.text
  traces = list(tmp_path.glob('plugins/profile/*/*'))
  assert {path.suffix for path in traces} >= {'.pb', '.gz'}
