"""Divergence: the first bad layer, and the limit of skipped steps."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.models import architectures
from inception_jax.training import train_step
from inception_jax.training.divergence import MAX_SKIPPED_STEPS
from inception_jax.training.divergence import DivergenceMonitor


@pytest.fixture(scope='module')
def variables():
  model = architectures.create_model('tiny', 10, aux_head=True)
  images = jnp.zeros((1, 16, 16, 3))
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)
  return jax.tree.map(lambda x: jnp.ones(x.shape), shapes)


def with_nan(tree, *names):
  """Returns the tree with a NaN in each of the named leaves."""

  def of_leaf(path, x):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    return x.at[..., 0].set(jnp.nan) if name in names else x

  return jax.tree_util.tree_map_with_path(of_leaf, tree)


@pytest.fixture
def check(tiny, variables):
  """Checks a step whose named gradients, weights and statistics have a NaN."""
  model = architectures.create_model('tiny', 10, aux_head=True)
  state = types.SimpleNamespace(**variables)
  monitor = DivergenceMonitor(
    model, tiny.data, (), state, lambda: 'there is no checkpoint'
  )

  def apply(step=7, loss=1.0, grads=(), params=(), stats=(), **more):
    norms = train_step.layer_norms(
      with_nan(variables['params'], *grads),
      with_nan(variables['params'], *params),
      with_nan(variables['batch_stats'], *stats),
    )
    metrics = {'loss': loss, 'count': 1.0, 'norms': norms, **more}
    monitor.check(step, jax.device_get(metrics))

  return apply


def test_finite_steps_pass(check):
  check()


def test_first_layer_with_nonfinite_activations_is_named(check):
  stats = ('mixed_3a/branch0_0/bn/mean', 'mixed_2a/branch2_1/bn/var')
  grads = ('conv_1a/conv/kernel',)
  with pytest.raises(
    FloatingPointError,
    match='training diverged at step 7: the loss is nan; the first '
    'non-finite layer is mixed_2a/branch2_1/bn, in its activations; '
    'there is no checkpoint',
  ):
    check(loss=np.nan, stats=stats, grads=grads)


def test_last_layer_with_a_nonfinite_gradient_is_named(check):
  grads = ('conv_1a/conv/kernel', 'mixed_2a/branch0_0/conv/kernel')
  # 'aux' is first in alphabetical order, and after 2a in the forward pass.
  with pytest.raises(FloatingPointError, match='branch0_0/conv, in its grad'):
    check(grads=grads)
  with pytest.raises(FloatingPointError, match='layer is aux/conv_0/conv,'):
    check(grads=(*grads, 'aux/conv_0/conv/kernel'))


def test_first_layer_with_nonfinite_weights_is_named(check):
  names = ('head/dense/bias', 'mixed_3a/branch0_0/conv/kernel')
  with pytest.raises(
    FloatingPointError, match='mixed_3a/branch0_0/conv, in its weights'
  ):
    check(params=names)


def test_overflows_are_skipped_up_to_a_limit(check):
  bad = {'grads': ('head/dense/kernel',), 'skipped': 1.0, 'loss_scale': 1.0}
  for _ in range(MAX_SKIPPED_STEPS):
    check(**bad)
  check(skipped=0.0)
  for _ in range(MAX_SKIPPED_STEPS):
    check(**bad)
  with pytest.raises(
    FloatingPointError,
    match='gradients overflowed in 21 steps in a row, the last at a loss scale '
    'of 1;',
  ):
    check(**bad)
