"""Optimizers against TensorFlow's kernels; schedules at their corners."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tensorflow as tf

from configs import default
from inception_jax import config as config_lib
from inception_jax import optim


@pytest.fixture
def config():
  config = default.get_config()
  config.batch_size = 10
  config.train_for = '100 steps'
  config.schedule.warmup = '10 steps'
  config.weight_decay = 0.0
  return config


def test_rmsprop_is_tensorflows(config):
  tx = optim.optimizer(config, optax.constant_schedule(0.05))
  rng = np.random.default_rng(0)
  start = rng.normal(size=(7, 5)).astype(np.float32)
  params = {'kernel': jnp.asarray(start)}
  state = tx.init(params)

  theirs = tf.Variable(start)
  square, momentum = tf.Variable(tf.ones((7, 5))), tf.Variable(tf.zeros((7, 5)))
  for _ in range(20):
    grad = rng.normal(size=(7, 5)).astype(np.float32)
    updates, state = tx.update({'kernel': jnp.asarray(grad)}, state, params)
    params = optax.apply_updates(params, updates)
    tf.raw_ops.ResourceApplyRMSProp(
      var=theirs.handle,
      ms=square.handle,
      mom=momentum.handle,
      lr=0.05,
      rho=0.9,
      momentum=0.9,
      epsilon=1.0,
      grad=grad,
    )
  np.testing.assert_allclose(params['kernel'], theirs.numpy(), atol=2e-6)


@pytest.mark.parametrize('nesterov', [False, True])
def test_sgd_is_tensorflows(config, nesterov):
  config.optimizer.name = 'sgd'
  config.optimizer.nesterov = nesterov
  tx = optim.optimizer(config, optax.constant_schedule(0.05))
  params = {'kernel': jnp.ones((3,))}
  state = tx.init(params)
  theirs, momentum = tf.Variable(tf.ones((3,))), tf.Variable(tf.zeros((3,)))
  for i in range(10):
    grad = np.float32([1.0, -2.0, 0.1 * i])
    updates, state = tx.update({'kernel': jnp.asarray(grad)}, state, params)
    params = optax.apply_updates(params, updates)
    tf.raw_ops.ResourceApplyMomentum(
      var=theirs.handle,
      accum=momentum.handle,
      lr=0.05,
      grad=grad,
      momentum=0.9,
      use_nesterov=nesterov,
    )
  np.testing.assert_allclose(params['kernel'], theirs.numpy(), rtol=1e-5)


def test_weight_decay_is_coupled_and_on_kernels_only(config):
  config.optimizer.name = 'sgd'
  config.optimizer.momentum = 0.0
  config.weight_decay = 0.1
  tx = optim.optimizer(config, optax.constant_schedule(0.5))
  params = {
    'conv': {'kernel': jnp.full((2,), 3.0)},
    'bn': {'scale': jnp.ones((2,)), 'bias': jnp.ones((2,))},
    'dense': {'kernel': jnp.full((2,), 3.0), 'bias': jnp.ones((2,))},
  }
  zeros = jax.tree.map(jnp.zeros_like, params)
  updates, _ = tx.update(zeros, tx.init(params), params)
  decayed = jax.tree.map(lambda x: bool((x != 0).any()), updates)
  assert decayed == {
    'conv': {'kernel': True},
    'bn': {'scale': False, 'bias': False},
    'dense': {'kernel': True, 'bias': False},
  }
  np.testing.assert_allclose(updates['conv']['kernel'], -0.5 * 0.1 * 3.0)

  # Coupled: it passes through RMSProp's scaling like any gradient.
  config.optimizer.name = 'rmsprop'
  tx = optim.optimizer(config, optax.constant_schedule(0.5))
  updates, _ = tx.update(zeros, tx.init(params), params)
  mean_square = 0.9 + 0.1 * 0.3**2
  expected = -0.5 * 0.3 / (mean_square + 1.0) ** 0.5
  np.testing.assert_allclose(updates['conv']['kernel'], expected, rtol=1e-6)


@pytest.mark.parametrize('name', optim.OPTIMIZERS)
def test_rates_by_path_scale_every_update(config, name):
  config.optimizer.name = name
  config.weight_decay = 0.1
  params = {
    part: {'dense': {'kernel': jnp.full((2,), 3.0), 'bias': jnp.ones((2,))}}
    for part in ('head', 'mixed_5b', 'stem')
  }
  gradients = jax.tree.map(lambda x: 0.5 * x, params)

  def trained(rates):
    config.optimizer.rates = rates
    tx = optim.optimizer(config, optax.constant_schedule(0.5))
    state, current = tx.init(params), params
    for _ in range(3):  # momentum is scaled, too
      updates, state = tx.update(gradients, state, current)
      current = optax.apply_updates(current, updates)
    return jax.tree.map(jnp.subtract, current, params)

  plain = trained(())
  scaled = trained((('head/*', 1.0), ('mixed_*/kernel', 0.25), ('*', 0.0)))
  for leaf in ('kernel', 'bias'):
    of = lambda tree, part, leaf=leaf: tree[part]['dense'][leaf]
    np.testing.assert_array_equal(of(scaled, 'head'), of(plain, 'head'))
    assert not of(scaled, 'stem').any()
  # Not a quarter to the last digit: the decay follows the smaller weights.
  np.testing.assert_allclose(
    scaled['mixed_5b']['dense']['kernel'],
    0.25 * plain['mixed_5b']['dense']['kernel'],
    rtol=0.3,
  )
  assert not scaled['mixed_5b']['dense']['bias'].any()


def rates(config, steps):
  plan = config_lib.plan(config, 1000)
  schedule = optim.schedule(config, plan)
  return [float(schedule(step)) for step in steps]


def test_warmup_then_cosine(config):
  config.schedule.learning_rate = 0.4
  config.schedule.init_learning_rate = 0.1
  config.schedule.end_learning_rate = 0.02
  got = rates(config, [0, 5, 10, 55, 100])
  np.testing.assert_allclose(got, [0.1, 0.25, 0.4, 0.21, 0.02], rtol=1e-6)


def test_warmup_then_constant(config):
  config.schedule.name = 'constant'
  config.schedule.learning_rate = 0.4
  np.testing.assert_allclose(rates(config, [0, 5, 10, 99]), [0, 0.2, 0.4, 0.4])


def test_no_warmup(config):
  config.schedule.warmup = '0 steps'
  config.schedule.learning_rate = 0.4
  np.testing.assert_allclose(
    rates(config, [0, 50, 100]), [0.4, 0.2, 0.0], atol=1e-8
  )


def test_a_training_within_its_warmup_still_trains(config, caplog):
  config.train_for = '4 steps'
  config.schedule.learning_rate = 1.0
  np.testing.assert_allclose(rates(config, [0, 2, 4]), [0.0, 0.2, 0.4])
  assert 'longer than train_for' in caplog.text
