"""Evaluators: protocols, batch sizes and device counts."""

import jax
import numpy as np
import pytest
import tensorflow as tf

from inception_jax.data import decode
from inception_jax.data import reading
from inception_jax.data import views as views_lib
from inception_jax.data.sources import registry
from inception_jax.data.splits import Indexed
from inception_jax.errors import UserError
from inception_jax.evaluation.evaluator import Evaluator
from tests.support.pictures import CLASSES
from tests.support.pictures import config_of
from tests.support.pictures import network


def mean_probabilities(config, model, variables, split):
  """Returns mean probabilities [images, N] and labels, image by image."""
  size = config.data.image_size
  means, labels = [], []
  forward = jax.jit(lambda x: jax.nn.softmax(model.apply(variables, x)[0]))
  for i in range(split.size):
    record = split.fetch(tf.constant(i, tf.int64))
    labels.append(int(record['label']))
    canvases = decode.eval_canvases(record['image'], config.data)
    views = []
    for view in views_lib.views(config.data.eval_protocol, size):
      canvas = canvases[view.canvas].numpy()
      square = canvas if canvas.ndim == 3 else canvas[view.square]
      image = square[view.top :, view.left :][:size, :size]
      views.append(image[:, ::-1] if view.mirrored else image)
    images = (np.stack(views) - np.float32(127.5)) / np.float32(127.5)
    means.append(np.mean(np.asarray(forward(images)), axis=0))
  return np.stack(means), np.array(labels)


@pytest.mark.slow
@pytest.mark.parametrize('protocol', views_lib.PROTOCOLS)
def test_protocols_average_the_probabilities_of_the_views(
  pictures, one_device, protocol
):
  config = config_of(pictures, eval_protocol=protocol)
  split = registry.load(config, 'val')
  model, variables = network(config, 0)
  means, labels = mean_probabilities(config, model, variables, split)
  evaluator = Evaluator([(config, model)], split, one_device)
  result, batches, _ = evaluator(variables)
  loss = -np.log(means[np.arange(23), labels])
  found = np.concatenate([batch['image_loss'] for batch in batches])[:23]
  np.testing.assert_allclose(found, loss, rtol=2e-5)
  assert result['count'] == 23
  assert result['loss'] == pytest.approx(loss.mean(), rel=1e-5)
  assert result['top1'] == np.mean(means.argmax(1) == labels)
  assert len(set(means.argmax(1))) > 1


@pytest.mark.slow
@pytest.mark.parametrize('protocol', ['single', '12_crops'])
def test_scores_do_not_depend_on_batch_size_and_device_count(
  pictures, one_device, eight_devices, protocol
):
  results = []
  for batch_size, mesh in (
    (1, one_device),
    (7, one_device),
    (64, one_device),
    (8, eight_devices),
    (100, eight_devices),
  ):
    config = config_of(pictures, eval_protocol=protocol)
    config.batch_size = batch_size
    split = registry.load(config, 'val')
    model, variables = network(config, 1)
    evaluator = Evaluator([(config, model)], split, mesh)
    results.append(evaluator(variables).scores)
  first = results[0]
  assert first['count'] == 23
  for result in results:
    assert result == {**first, 'loss': pytest.approx(first['loss'], abs=1e-5)}


@pytest.mark.slow
def test_throughput_devices_and_precision_are_logged(
  pictures, eight_devices, one_device, caplog
):
  caplog.set_level('INFO', 'inception_jax')
  config = config_of(pictures)
  split = registry.load(config, 'val')
  model, variables = network(config, 1)
  for batch_size, mesh, what in (
    (8, eight_devices, 'without the first batch'),
    (64, one_device, 'with the compilation of the first batch'),
  ):
    config.batch_size = batch_size
    evaluation = Evaluator([(config, model)], split, mesh)(variables)
    devices = f'{mesh.size} cpu device{"s" * (mesh.size > 1)}'
    speed = f'{evaluation.images_per_sec:.1f} images/s, {what}'
    line = f'evaluated 23 images on {devices} in float32: {speed}'
    assert line in caplog.text


@pytest.mark.slow
def test_graph_of_the_images_is_kept(pictures, one_device, monkeypatch):
  made = []
  make = reading.dataset
  monkeypatch.setattr(
    reading, 'dataset', lambda *args: made.append(args) or make(*args)
  )
  config = config_of(pictures)
  model, variables = network(config, 0)
  split = registry.load(config, 'val')
  evaluator = Evaluator([(config, model)], split, one_device)
  first, again = evaluator(variables), evaluator(variables)
  assert first.scores == again.scores
  assert len(made) == 1


def test_empty_split_is_reported(pictures, one_device):
  config = config_of(pictures)
  model, _ = network(config, 0)
  with pytest.raises(UserError, match='folder: val has no images'):
    Evaluator([(config, model)], Indexed(0, CLASSES, None), one_device)
