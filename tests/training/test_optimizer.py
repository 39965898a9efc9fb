"""Optimizers, compared with TensorFlow's kernels and published formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tensorflow as tf

from configs import default
from inception_jax.training import optimizer
from tests.support import timm_golden


@pytest.fixture
def config():
  config = default.get_config()
  config.weight_decay = 0.0
  return config


def make(config, rate):
  return optimizer.make_optimizer(
    config.optimizer,
    rate,
    config.weight_decay,
    config.fine_tune.freeze,
  )


def test_rmsprop_equals_tensorflows(config):
  tx = make(config, optax.constant_schedule(0.05))
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
  theirs = theirs.numpy()
  atol = 1e-6 * np.abs(theirs).max()
  np.testing.assert_allclose(params['kernel'], theirs, rtol=0, atol=atol)


@pytest.mark.parametrize('nesterov', [False, True])
def test_sgd_equals_tensorflows(config, nesterov):
  config.optimizer.name = 'sgd'
  config.optimizer.nesterov = nesterov
  tx = make(config, optax.constant_schedule(0.05))
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


@pytest.mark.parametrize('name', ['adamw', 'adamw+nesterov', 'lamb', 'lion'])
def test_adaptive_optimizers_equal_their_formulas(config, name):
  """The formulas are computed by numpy in float64."""
  config.optimizer.name, _, nesterov = name.partition('+')
  config.optimizer.nesterov = bool(nesterov)
  config.weight_decay = 0.1
  rate = 0.05
  tx = make(config, optax.constant_schedule(rate))
  rng = np.random.default_rng(0)
  weights = rng.normal(size=(7, 5))
  params = {'dense': {'kernel': jnp.asarray(weights, jnp.float32)}}
  state = tx.init(params)
  m = v = np.zeros((7, 5))
  for t in range(1, 11):
    gradient = rng.normal(size=(7, 5))
    given = {'dense': {'kernel': jnp.asarray(gradient, jnp.float32)}}
    updates, state = tx.update(given, state, params)
    params = optax.apply_updates(params, updates)
    if config.optimizer.name == 'lion':  # Chen et al. 2023, algorithm 2
      step = np.sign(0.9 * m + 0.1 * gradient) + 0.1 * weights
      m = 0.99 * m + 0.01 * gradient
    else:  # Loshchilov and Hutter 2019; You et al. 2020, algorithm 2
      m = 0.9 * m + 0.1 * gradient
      v = 0.999 * v + 0.001 * gradient**2
      mean = m / (1 - 0.9**t)
      if nesterov:  # Dozat 2016
        mean = 0.9 * m / (1 - 0.9 ** (t + 1)) + 0.1 * gradient / (1 - 0.9**t)
      epsilon = {'adamw': 1e-8, 'lamb': 1e-6}[config.optimizer.name]
      step = mean / (np.sqrt(v / (1 - 0.999**t)) + epsilon) + 0.1 * weights
      if config.optimizer.name == 'lamb':
        step *= np.linalg.norm(weights) / np.linalg.norm(step)
    weights = weights - rate * step
  np.testing.assert_allclose(params['dense']['kernel'], weights, atol=2e-5)


def test_lamb_equals_timms(config):
  golden = timm_golden.part('lamb')
  config.optimizer.name, config.optimizer.clip_norm = 'lamb', 1.0
  config.optimizer.trust_on = ('*/kernel',)
  config.weight_decay = golden['weight_decay']
  tx = make(config, optax.constant_schedule(golden['learning_rate']))
  tree = lambda values: {'dense': {k: np.float32(v) for k, v in values.items()}}
  params = tree(golden['params'])
  state = tx.init(params)
  for gradient, after in zip(golden['grads'], golden['after'], strict=True):
    updates, state = tx.update(tree(gradient), state, params)
    params = optax.apply_updates(params, updates)
    for key, value in after.items():
      np.testing.assert_allclose(params['dense'][key], value, rtol=1e-5)


def test_lamb_is_optax_s_by_default(config):
  config.optimizer.name, config.weight_decay = 'lamb', 0.1
  rate = optax.constant_schedule(0.1)
  kernels = {'dense': {'kernel': True, 'bias': False}}
  theirs = optax.lamb(rate, weight_decay=0.1, mask=kernels)
  params = {'dense': {'kernel': jnp.ones((3, 2)), 'bias': jnp.full(2, 2.0)}}
  gradient = jax.tree.map(lambda p: 0.3 * p, params)
  (updates, arrays), (expected, their_arrays) = (
    tx.update(gradient, tx.init(params), params)
    for tx in (make(config, rate), optax.chain(theirs))
  )
  jax.tree.map(np.testing.assert_array_equal, updates, expected)
  # So checkpoints of earlier versions have the same arrays in the same places.
  places = lambda state: [
    jax.tree_util.keystr(path)
    for path, _ in jax.tree_util.tree_leaves_with_path(state)
  ]
  assert places(arrays) == places(their_arrays)


@pytest.mark.parametrize('name', ['rmsprop', 'sgd'])
def test_decoupled_decay_is_multiplied_by_the_learning_rate(config, name):
  config.optimizer.name = name
  config.weight_decay = 0.1
  config.optimizer.decoupled_decay = True
  config.optimizer.decay_on = ('conv*', '*/bias')
  tx = make(config, lambda step: 0.5 / (step + 1))
  params = {
    'conv_1': {'kernel': jnp.full((2,), 3.0), 'scale': jnp.full((2,), 2.0)},
    'dense': {'kernel': jnp.full((2,), 3.0), 'bias': jnp.ones((2,))},
  }
  zeros = jax.tree.map(jnp.zeros_like, params)
  state = tx.init(params)
  for step in range(3):
    updates, state = tx.update(zeros, state, params)
    relative = jax.tree.map(lambda u, p: float((u / p)[0]), updates, params)
    assert relative['dense'].pop('kernel') == 0
    for change in jax.tree.leaves(relative):
      np.testing.assert_allclose(change, -0.5 / (step + 1) * 0.1, rtol=1e-6)


def test_gradients_are_clipped_before_weight_decay(config):
  config.optimizer.name = 'sgd'
  config.optimizer.momentum = 0.0
  config.weight_decay = 0.1
  params = {'a': {'kernel': jnp.ones(2)}, 'b': {'kernel': jnp.ones(2)}}
  gradients = {
    'a': {'kernel': jnp.array([3.0, 0.0])},
    'b': {'kernel': jnp.array([0.0, -4.0])},
  }

  def update():
    tx = make(config, optax.constant_schedule(1.0))
    updates, _ = tx.update(gradients, tx.init(params), params)
    return np.concatenate([updates[k]['kernel'] for k in 'ab']) + 0.1

  np.testing.assert_allclose(update(), [-3, 0, 0, 4], atol=1e-6)
  config.optimizer.clip_norm = 2.0
  np.testing.assert_allclose(update(), [-1.2, 0, 0, 1.6], atol=1e-6)
  config.optimizer.clip_norm, config.optimizer.clip_value = 0.0, 3.5
  np.testing.assert_allclose(update(), [-3, 0, 0, 3.5], atol=1e-6)


def test_weight_decay_is_coupled_and_applies_to_kernels_only(config):
  config.optimizer.name = 'sgd'
  config.optimizer.momentum = 0.0
  config.weight_decay = 0.1
  tx = make(config, optax.constant_schedule(0.5))
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

  # Coupled decay is part of the gradient that RMSProp scales.
  config.optimizer.name = 'rmsprop'
  tx = make(config, optax.constant_schedule(0.5))
  updates, _ = tx.update(zeros, tx.init(params), params)
  mean_square = 0.9 + 0.1 * 0.3**2
  expected = -0.5 * 0.3 / (mean_square + 1.0) ** 0.5
  np.testing.assert_allclose(updates['conv']['kernel'], expected, rtol=1e-6)


@pytest.mark.parametrize('name', optimizer.OPTIMIZERS)
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
    tx = make(config, optax.constant_schedule(0.05))
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
  # About a quarter, since the decay depends on the weights.
  np.testing.assert_allclose(
    scaled['mixed_5b']['dense']['kernel'],
    0.25 * plain['mixed_5b']['dense']['kernel'],
    rtol=0.05,
  )
  assert not scaled['mixed_5b']['dense']['bias'].any()
