"""The plain flax peer: the same networks, and a step that trains."""

import importlib
import math

import jax
import numpy as np
import pytest

from benchmarks.peers import plain_flax
from inception_jax.distributed import sharding
from inception_jax.models import factory
from inception_jax.training import train_state


@pytest.mark.slow
@pytest.mark.parametrize(
  'name', ['inception_v3', 'inception_v4', 'inception_resnet_v2']
)
def test_number_of_parameters_is_ours(name):
  config = importlib.import_module(f'configs.{name}').get_config()
  config = factory.resolve(config)
  config.model.aux_head = True
  images = jax.numpy.zeros((1, 299, 299, 3))
  keys = {'params': jax.random.key(0), 'dropout': jax.random.key(0)}
  counts = [
    train_state.num_params(jax.eval_shape(init, keys, images)['params'])
    for init in (
      factory.build(config, 1000).init,
      plain_flax.network(config, 1000).init,
    )
  ]
  assert counts[0] == counts[1]


@pytest.mark.slow
def test_training_reduces_the_loss(tiny):
  tiny.schedule.learning_rate, tiny.model.dropout_rate = 1e-3, 0.0
  mesh = sharding.make_mesh(jax.devices()[:1])
  init, step = plain_flax.init_and_step(tiny, mesh, 10)
  random = np.random.default_rng(0)
  batch = {
    'image': random.integers(256, size=(16, 16, 16, 3), dtype=np.uint8),
    'label': np.arange(16, dtype=np.int32) % 10,
  }
  state, losses = init(), []
  for _ in range(20):
    state, loss = step(state, batch)
    losses.append(loss)
  assert int(state[0]) == 20
  # The auxiliary loss has the weight 0.4.
  assert losses[0] == pytest.approx(1.4 * math.log(10), rel=0.2)
  assert losses[-1] < 0.7 * losses[0]
