"""Evaluating the checkpoints of a training, and ensembles."""

import jax
import numpy as np
import pytest

from inception_jax.checkpointing import lookup
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluate
from tests.support import runs
from tests.support.pictures import CLASSES
from tests.support.pictures import config_of
from tests.support.pictures import save_run


def evaluate_finished(workdir, mesh, which='latest', batch_size=16, ema=True):
  config = runs.short_config()
  config.batch_size = batch_size
  options = evaluate.Options((which,), ema)
  return evaluate.evaluate(config, str(workdir), mesh, options).result


@pytest.mark.parametrize('which', ['latest', 'best', '4', 'path'])
def test_scores_equal_those_of_the_training(finished_run, one_device, which):
  workdir, _ = finished_run
  scores = {line['step']: line for line in runs.metrics(workdir, 'eval')}
  best = max(line['top1'] for line in scores.values())
  if which == 'path':
    which = str(lookup.checkpoint_folder(workdir) / '4')
  result = evaluate_finished(workdir, one_device, which)
  assert result == {key: scores[result['step']][key] for key in result}
  if which == 'best':
    assert result['top1'] == best
  else:
    assert result['step'] == {'latest': 6}.get(which, 4)


@pytest.mark.parametrize(
  ('batch_size', 'devices'), [(11, 1), (7, 8), (360, 3), (999, 8)]
)
def test_scores_do_not_depend_on_batch_size_and_device_count(
  finished_run, batch_size, devices
):
  workdir, result = finished_run
  mesh = sharding.make_mesh(jax.devices()[:devices])
  again = evaluate_finished(workdir, mesh, batch_size=batch_size)
  for key in ('step', 'top1', 'top5', 'count'):
    assert again[key] == result[key]
  np.testing.assert_allclose(again['loss'], result['loss'], atol=1e-5)


def test_another_image_size_is_named(finished_run, one_device, caplog):
  workdir, _ = finished_run
  config = runs.short_config()
  size = config.data.image_size
  evaluate.evaluate(config, str(workdir), one_device, evaluate.Options())
  assert 'pixels' not in caplog.text
  config.data.image_size = size + 2
  evaluate.evaluate(config, str(workdir), one_device, evaluate.Options())
  assert f'images have {size + 2}×{size + 2} pixels, those of' in caplog.text
  assert f'--config.data.image_size={size} takes the same' in caplog.text


def test_images_have_the_channels_of_the_weights(finished_run, one_device):
  workdir, _ = finished_run
  config = runs.short_config()
  config.data.channels = 1
  with pytest.raises(UserError, match=r'set --config\.data\.channels=3'):
    evaluate.evaluate(config, str(workdir), one_device, evaluate.Options())


def test_raw_weights_can_be_evaluated(finished_run, one_device):
  workdir, result = finished_run
  raw = evaluate_finished(workdir, one_device, ema=False)
  assert raw['loss'] != result['loss']


@pytest.mark.slow
def test_ensemble_averages_networks_with_different_preprocessing(
  pictures, one_device, tmp_path
):
  first, second = config_of(pictures), config_of(pictures)
  second.model.width = 2.0
  second.data.update(
    {
      'image_size': 20,
      'mean': (100.0, 110.0, 120.0),
      'std': (50.0, 60.0, 70.0),
    }
  )
  paths = [
    save_run(tmp_path / 'a', first, 0, step=3),
    save_run(tmp_path / 'b', second, 1),
  ]
  single = []
  for config, path in ((first, paths[0]), (second, paths[1])):
    output = tmp_path / f'single{len(single)}'
    options = evaluate.Options((path,), output=str(output))
    # Unset keys take the values of each checkpoint's card.
    config.data.update({'image_size': 0, 'mean': (), 'std': ()})
    evaluate.evaluate(config, '', one_device, options)
    single.append(runs.predictions(output))
  output = tmp_path / 'ensemble'
  options = evaluate.Options(tuple(paths), output=str(output))
  result = evaluate.evaluate(first, '', one_device, options).result
  assert result['step'] == [3, 0]
  for a, b, ensemble in zip(*single, runs.predictions(output), strict=True):
    mean = (np.exp(-float(a['loss'])) + np.exp(-float(b['loss']))) / 2
    assert float(ensemble['loss']) == pytest.approx(-np.log(mean), abs=1e-5)
  assert single[0] != single[1]


def test_networks_of_different_classes_are_not_averaged(
  pictures, run, one_device, tmp_path
):
  config = config_of(pictures)
  fewer = save_run(tmp_path / 'a', config, 0, CLASSES[:5])
  reversed_ = save_run(tmp_path / 'b', config, 0, CLASSES[::-1])
  options = evaluate.Options((run, fewer, reversed_))
  with pytest.raises(UserError) as error:
    evaluate.evaluate(config, '', one_device, options)
  assert len(error.value.faults) == 2


@pytest.mark.slow
def test_classes_are_matched_by_name(pictures, evaluate_run, tmp_path):
  config = config_of(pictures)
  config.model.num_classes = 6
  same = save_run(tmp_path / 'a', config, 0)
  reversed_ = save_run(tmp_path / 'b', config, 0, CLASSES[::-1])
  unnamed = save_run(tmp_path / 'c', config, 0, ())
  others = save_run(tmp_path / 'd', config, 0, tuple('uvwxyz'))
  losses = []
  for i, path in enumerate((same, unnamed, others, reversed_)):
    result, rows = evaluate_run(path, tmp_path / f'{i}')
    losses.append(result['loss'])
  assert losses[0] == losses[1] == losses[2] != losses[3]
  assert all(row['image'].split('/')[-2] == row['label'] for row in rows)
  some = save_run(tmp_path / 'e', config, 0, (*CLASSES[:5], 'lynx'))
  with pytest.raises(UserError, match='1 of 6 classes were not trained'):
    evaluate_run(some, tmp_path / 'no')
  assert not (tmp_path / 'no').exists()
