"""The checks and the files before the first step."""

import json

import pytest

from inception_jax.errors import UserError
from inception_jax.training import run as run_lib
from tests.support import tfds_sets
from tests.support.image_folders import write_image
from tests.support.runs import short_config
from tests.support.runs import train


def test_missing_split_leaves_no_workdir(one_device, tmp_path):
  config = short_config()
  tfds_sets.write(tmp_path / 'data')
  config.data.source = 'tfds:shapes'
  config.data.dir = str(tmp_path / 'data')
  config.data.eval_split = 'validation'
  with pytest.raises(UserError, match="no split 'validation'"):
    train(tmp_path / 'run', config, one_device)
  config.data.eval_split = 'test'
  config.model.num_classes = 2
  with pytest.raises(UserError, match='has 3 classes'):
    train(tmp_path / 'run', config, one_device)
  config.model.num_classes = 0
  config.data.sampling = 'balanced'
  with pytest.raises(UserError, match=r'sampling.* cannot count its classes'):
    train(tmp_path / 'run', config, one_device)
  assert not (tmp_path / 'run').exists()


def test_a_network_whose_checkpoints_cannot_be_read_is_not_trained(
  one_device, tmp_path
):
  config = short_config()
  config.data.eval_crop_mode = 'short_side'
  config.data.eval_crop_fraction = 1e-4
  with pytest.raises(UserError, match='resized to 160,000 pixels'):
    train(tmp_path / 'run', config, one_device)
  assert not (tmp_path / 'run').exists()


def test_config_and_parameters_are_written(finished_run):
  workdir, _ = finished_run
  assert json.loads((workdir / 'config.json').read_text()) == json.loads(
    json.dumps(short_config().to_dict())
  )
  table = (workdir / 'parameters.txt').read_text()
  assert 'mixed_2a/branch0_0/conv/kernel' in table and '(1, 1, 8, 8)' in table


def test_the_step_has_the_weights_of_the_training_images(one_device, tmp_path):
  for i in range(10):
    write_image(tmp_path / 'train' / 'ab'[i > 6] / f'{i}.png', i)
    write_image(tmp_path / 'val' / 'ab'[i > 1] / f'{i}.png', i)
  config = short_config()
  config.data.update(source='folder', dir=str(tmp_path), eval_split='val')
  weights = 'dense<[0.714285731, 1.66666663]>'  # 10 / (2 × 7), 10 / (2 × 3)
  for value in ('', 'balanced'):
    config.data.class_weights = value
    run = run_lib.prepare(config, str(tmp_path / 'run'), one_device)
    assert (weights in run.trainer.lower().as_text()) == bool(value)


@pytest.mark.parametrize('outputs', [0, 12])
def test_outputs_without_a_class_are_told(
  one_device, tmp_path, caplog, outputs
):
  config = short_config()
  config.model.num_classes = outputs
  run = run_lib.prepare(config, str(tmp_path), one_device)
  with caplog.at_level('INFO', 'inception_jax'):
    run_lib.write_description(run, 0)
  told = 'the network has 12 outputs and the data 10 classes: '
  assert (told in caplog.text) == bool(outputs)
