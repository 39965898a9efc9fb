"""The public loader of trained networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import fine_tune_folder
import inception_jax
from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.data.sources import registry
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluate
from inception_jax.models import architectures
from inception_jax.models import card as card_lib
from inception_jax.models import factory
from inception_jax.models import metadata
from inception_jax.models.network_config import NetworkConfig
from inception_jax.training import loop
from inception_jax.training import preflight
from inception_jax.training import train_state
from inception_jax.weights import exporter
from inception_jax.weights import pretrained
from inception_jax.weights.convert import Weights
from tests.parity import cases
from tests.support import runs


@pytest.mark.slow
def test_load_pretrained(tmp_path, timm_v3):
  path = str(tmp_path / 'v3.safetensors')
  exporter.save(timm_v3, path, 'timm')
  model, variables, card = inception_jax.load_pretrained(path)
  assert card == timm_v3.card
  jax.tree.map(np.testing.assert_array_equal, variables, timm_v3.variables)
  images = jnp.zeros((1, 75, 75, 3))
  logits, aux = jax.eval_shape(model.apply, variables, images)
  assert (logits.shape, aux) == ((1, cases.NUM_CLASSES), None)

  model, variables, _ = inception_jax.load_pretrained(path, num_classes=5)
  logits, _ = jax.eval_shape(model.apply, variables, images)
  assert logits.shape == (1, 5)
  dense = variables['params']['head'].pop('dense')
  assert dense['kernel'].shape == (2048, 5) and dense['kernel'].any()
  jax.tree.map(
    np.testing.assert_array_equal,
    variables['params']['mixed_7c'],
    timm_v3.variables['params']['mixed_7c'],
  )


@pytest.fixture
def headless(tmp_path):
  """An imported network without a classifier: (its folder, its variables)."""
  config = runs.short_config()
  network = factory.network_config(config, num_classes=0)
  card = card_lib.from_config(config.data)
  images = jnp.zeros((1, *card.image_shape))
  variables = architectures.create(network).init(jax.random.key(7), images)
  folder = tmp_path / 'imported'
  state = train_state.from_weights(variables)
  about = metadata.to_dict(network, card, ())
  with CheckpointManager(lookup.checkpoint_folder(str(folder))) as checkpoints:
    checkpoints.save(vars(state), {}, about)
  return folder, variables


def test_without_a_classifier_the_pooled_features_are_returned(headless):
  folder, variables = headless
  model, restored, card = inception_jax.load_pretrained(folder)
  jax.tree.map(np.testing.assert_array_equal, restored, variables)
  assert 'head' not in restored['params']
  images = jax.random.normal(jax.random.key(0), (2, *card.image_shape))
  features, aux = model.apply(restored, images)
  end_points = inception_jax.features(model, restored, images)
  assert model.card == card
  assert aux is None and features.dtype == jnp.float32
  np.testing.assert_array_equal(features, end_points['pooled'])
  np.testing.assert_allclose(
    features, end_points['mixed_2a'].mean(axis=(1, 2)), rtol=1e-6, atol=1e-6
  )


def test_a_classifier_is_dropped_or_added(finished_run, headless):
  workdir, _ = finished_run
  full = inception_jax.load_pretrained(str(workdir))
  body = inception_jax.load_pretrained(str(workdir), num_classes=0)
  assert 'head' not in body.variables['params']
  images = jax.random.normal(jax.random.key(0), (2, *full.card.image_shape))
  features, _ = body.model.apply(body.variables, images)
  expected = inception_jax.features(full.model, full.variables, images)
  np.testing.assert_allclose(features, expected['pooled'], rtol=1e-6)

  folder, variables = headless
  model, restored, _ = inception_jax.load_pretrained(str(folder), num_classes=3)
  assert model.card == full.card
  logits, _ = model.apply(restored, images)
  assert logits.shape == (2, 3)
  assert restored['params'].pop('head')['dense']['kernel'].any()
  jax.tree.map(np.testing.assert_array_equal, restored, variables)


def test_without_a_classifier_no_evaluation(headless, one_device):
  folder, _ = headless
  config = runs.short_config()
  for workdir, which in ((str(folder), 'latest'), ('', str(folder))):
    options = evaluate.Options(checkpoints=(which,))
    with pytest.raises(UserError, match=rf'no classifier.*checkpoint={folder}'):
      evaluate.evaluate(config, workdir, one_device, options)


@pytest.mark.slow
def test_fine_tuning_adds_a_classifier(headless, tmp_path, one_device, caplog):
  folder, variables = headless
  config = runs.short_config()
  config.fine_tune.checkpoint = str(folder)
  config.fine_tune.freeze = ('!head', '*')
  config.train_for = '1 step'
  with caplog.at_level('INFO', 'inception_jax'):
    loop.train(config, str(tmp_path / 'run'), one_device)
  assert 'the classifier is newly initialized' in caplog.text
  tuned = inception_jax.load_pretrained(str(tmp_path / 'run')).variables
  digits = registry.load(config, config.data.train_split)
  kernel = tuned['params'].pop('head')['dense']['kernel']
  assert kernel.shape[1] == len(digits.class_names)
  for a, b in zip(
    jax.tree.leaves(tuned['params']),
    jax.tree.leaves(variables['params']),
    strict=True,
  ):
    np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize(
  'network',
  [
    NetworkConfig('inception_v3', 7, 'small', width=0.5, bn_epsilon=1e-5),
    NetworkConfig('cifar_inception_v4', 0, 'small', count_include_pad=True),
  ],
)
def test_the_network_follows_the_weights(network):
  config = fine_tune_folder.get_config()
  weights = Weights('x', network, card_lib.Card(input_size=139), {})
  resolved = pretrained.resolve(config, weights)
  assert factory.network_config(resolved, network.num_classes) == network
  assert resolved.data.image_size == 139
  config.model.width = 0.25
  with pytest.raises(UserError, match=r'width=0\.25, but x has'):
    pretrained.resolve(config, weights)


def test_without_weights_the_network_has_a_name(one_device, tmp_path):
  config = fine_tune_folder.get_config()
  config.data.update(source='digits', eval_split='test')
  preflight.check(config, str(tmp_path), train=True)  # weights come later
  with pytest.raises(UserError, match=r'model\.name is empty'):
    pretrained.resolve_for_training(config, '', one_device)
  (fault,) = preflight.of_config(factory.resolve(config))
  assert fault.startswith("model.name='': expected one of inception_v3")


def test_a_run_is_resumed_and_evaluated_without_its_name(
  finished_run, one_device
):
  workdir, result = finished_run
  config = runs.short_config()
  config.model.update(name='', stem='', width=0.0)
  resumed, _ = pretrained.resolve_for_training(config, str(workdir), one_device)
  assert (resumed.model.name, resumed.model.stem) == ('tiniest', 'small')
  evaluated = evaluate.evaluate(
    config, str(workdir), one_device, evaluate.Options(ema=False)
  )
  assert evaluated.result['count'] == result['count']
  # The run has evaluated its moving average, not the raw weights.
  _, weights = pretrained.restore(str(workdir), 'latest', one_device)
  recorded = weights.evaluation
  assert {key: recorded[key] for key in ('step', 'top1', 'top5', 'count')} == {
    key: result[key] for key in ('step', 'top1', 'top5', 'count')
  }
  data = config.data
  assert recorded['split'] == data.eval_split
  assert recorded['protocol'] == data.eval_protocol
  assert recorded['image_size'] == data.image_size
  _, raw = pretrained.restore(str(workdir), 'latest', one_device, ema=False)
  assert raw.evaluation == {}
