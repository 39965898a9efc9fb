"""A network inside other programs: modules, transformations, strict settings.

Derivatives are in test_autodiff.py.
"""

from flax import nnx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import inception_jax

CLASSES = 5


@pytest.fixture(scope='module')
def network():
  """(model, variables, images, logits) of a network in evaluation."""
  model = inception_jax.create_model('tiny', CLASSES, stem='small')
  images = jax.random.normal(jax.random.key(0), (6, 16, 16, 3))
  variables = jax.jit(model.init)(jax.random.key(1), images)
  return model, variables, images, jax.jit(model.apply)(variables, images)[0]


def assert_close(actual, expected):
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


class TwoViews(nn.Module):
  """A network of features on an image and its mirror, and one dense layer."""

  body: inception_jax.Inception

  @nn.compact
  def __call__(self, images, train: bool = False):
    views = [self.body(x, train=train)[0] for x in (images, images[:, :, ::-1])]
    return nn.Dense(3)(jnp.concatenate(views, -1))


def test_it_is_a_part_of_another_linen_module(network):
  model, variables, images, _ = network
  body = model.clone(num_classes=0)
  whole = TwoViews(body)
  own = jax.jit(whole.init)(jax.random.key(2), images)
  # The trained weights take the place of the initial ones.
  params = {**variables['params']}
  del params['head']
  own['params']['body'] = params
  own['batch_stats']['body'] = variables['batch_stats']
  logits = jax.jit(whole.apply)(own, images)
  views = [
    inception_jax.features(model, variables, x, ['pooled'])['pooled']
    for x in (images, images[:, :, ::-1])
  ]
  dense = own['params']['Dense_0']
  expected = jnp.concatenate(views, -1) @ dense['kernel'] + dense['bias']
  assert_close(logits, expected)
  train = {'train': True, 'mutable': ['batch_stats']}
  _, updated = jax.jit(lambda v, x: whole.apply(v, x, **train))(own, images)
  moved = updated['batch_stats']['body']['conv_1a']['bn']['mean']
  assert np.any(moved != variables['batch_stats']['conv_1a']['bn']['mean'])


@pytest.mark.slow
def test_it_is_a_part_of_an_nnx_module(network):
  model, variables, images, logits = network
  bridged = nnx.bridge.ToNNX(model, rngs=nnx.Rngs(0)).lazy_init(images[:1])
  attributes = nnx.bridge.variables.linen_vars_to_nnx_attrs(variables)
  nnx.update(bridged, attributes)
  assert_close(nnx.jit(lambda m, x: m(x)[0])(bridged, images), logits)

  class Scaled(nnx.Module):
    def __init__(self):
      self.body = bridged
      self.scale = nnx.Param(jnp.float32(2))

    def __call__(self, images):
      return self.scale[...] * self.body(images)[0]

  scaled = Scaled()
  loss = lambda module: scaled_loss(module(images))
  grads = nnx.jit(nnx.grad(loss))(scaled)
  of_linen = jax.jit(
    jax.grad(
      lambda params: scaled_loss(
        2 * model.apply({**variables, 'params': params}, images)[0]
      )
    )
  )(variables['params'])
  kernel = grads['body']['conv_1a']['conv']['kernel'][...]
  assert_close(kernel, of_linen['conv_1a']['conv']['kernel'])


def scaled_loss(logits):
  labels = jnp.arange(len(logits)) % CLASSES
  return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def test_vmap_and_scan_over_images(network):
  model, variables, images, logits = network
  one = lambda image: model.apply(variables, image[None])[0][0]
  assert_close(jax.jit(jax.vmap(one))(images), logits)
  step = lambda count, image: (count + 1, one(image))
  count, scanned = jax.jit(lambda x: jax.lax.scan(step, 0, x))(images)
  assert count == len(images)
  assert_close(scanned, logits)


def test_vmap_over_networks(network):
  model, variables, images, logits = network
  both = jax.tree.map(lambda x: jnp.stack([x, 0.5 * x]), variables)
  each = jax.jit(jax.vmap(lambda v: model.apply(v, images)[0]))(both)
  assert_close(each[0], logits)
  half = jax.tree.map(lambda x: 0.5 * x, variables)
  assert_close(each[1], model.apply(half, images)[0])


def train_scan(model, variables, images, steps=3):
  """Trains inside of lax.scan; returns parameters and losses."""
  optimizer = optax.sgd(0.05, momentum=0.9)

  def loss(params, stats, key):
    (logits, _), updates = model.apply(
      {'params': params, 'batch_stats': stats},
      images,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': key},
    )
    return scaled_loss(logits), updates['batch_stats']

  def step(carry, key):
    params, stats, state = carry
    (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(
      params, stats, key
    )
    updates, state = optimizer.update(grads, state, params)
    return (optax.apply_updates(params, updates), stats, state), value

  params = variables['params']
  begin = params, variables['batch_stats'], optimizer.init(params)
  keys = jax.random.split(jax.random.key(3), steps)
  (params, *_), losses = jax.lax.scan(step, begin, keys)
  return params, losses


def test_training_steps_are_scanned(network):
  model, variables, images, _ = network
  params, losses = jax.jit(lambda v, x: train_scan(model, v, x, 8))(
    variables, images
  )
  assert losses[-1] < losses[0] and np.isfinite(losses).all()
  assert np.any(
    params['conv_1a']['conv']['kernel']
    != variables['params']['conv_1a']['conv']['kernel']
  )


@pytest.mark.parametrize('name', ['tiny', 'tiny_residual'])
@pytest.mark.parametrize('precision', ['float32', 'tensorfloat32'])
def test_strict_promotion_of_dtypes_and_ranks(name, precision):
  # In bfloat16, flax's own BatchNorm promotes its statistics' dtype.
  model = inception_jax.create_model(
    name,
    CLASSES,
    stem='small',
    aux_head=name == 'tiny',
    dropout_rate=0.1,
    precision=precision,
  )
  images = jnp.zeros((2, 16, 16, 3))

  def everything(key, images):
    variables = model.init(key, images)
    seen = inception_jax.features(model, variables, images)
    return seen, train_scan(model, variables, images, 1)

  with (
    jax.numpy_dtype_promotion('strict'),
    jax.numpy_rank_promotion('raise'),
  ):
    seen, (_, losses) = jax.eval_shape(everything, jax.random.key(0), images)
  assert seen['logits'].dtype == losses.dtype == jnp.float32


def test_x64_changes_no_dtype(network):
  model, _, _, logits = network
  with jax.enable_x64(True):
    images = jax.random.normal(jax.random.key(0), (6, 16, 16, 3), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(1), images)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {
      jnp.dtype('float32')
    }
    seen = jax.jit(lambda v, x: inception_jax.features(model, v, x))(
      variables, images.astype(jnp.float64)
    )
    assert {x.dtype for x in seen.values()} == {jnp.dtype('float32')}
    (_, losses) = jax.eval_shape(
      lambda v, x: train_scan(model, v, x), variables, images
    )
    assert losses.dtype == jnp.float32
  assert_close(seen['logits'], logits)
