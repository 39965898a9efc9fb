"""Derivatives of a whole network: both modes, second order, transformations.

The reference is the same network of XLA's own convolutions and pools.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from inception_jax import create_model
from inception_jax.models.kernels import convolution

NUM_CLASSES = 5


@functools.cache
def arrays():
  """Returns variables, tangents of the parameters, images and labels."""
  model = network()
  keys = jax.random.split(jax.random.key(0), 4)
  images = jax.random.normal(keys[0], (4, 16, 16, 3))
  variables = jax.jit(model.init)(keys[1], images)
  params, tree = jax.tree.flatten(variables['params'])
  # Biases and BatchNorm offsets that are not zero, as after some steps.
  params, tangents = (
    tree.unflatten(
      [
        start + 0.1 * jax.random.normal(jax.random.fold_in(key, i), p.shape)
        for i, (p, start) in enumerate(zip(params, begin, strict=True))
      ]
    )
    for key, begin in ((keys[2], params), (keys[3], [0.0] * len(params)))
  )
  labels = jnp.arange(4) % NUM_CLASSES
  return {**variables, 'params': params}, tangents, images, labels


@pytest.fixture(autouse=True, scope='module')
def made():
  arrays()  # outside of any tracing


def network(portable=False):
  model = create_model('tiny', NUM_CLASSES, stem='small', dropout_rate=0.2)
  options = dataclasses.replace(model.options, portable=portable)
  return model.clone(options=options)


def loss_of(model, train, checkpoint=False):
  """(params, images) → mean cross entropy, a scalar."""
  variables, _, _, labels = arrays()

  def apply(params, images):
    (logits, aux), _ = model.apply(
      {**variables, 'params': params},
      images,
      train=train,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(1)},
    )
    return logits if aux is None else logits + 0.4 * aux

  if checkpoint:
    policy = jax.checkpoint_policies.save_only_these_names(
      convolution.CHECKPOINT_NAME
    )
    apply = jax.checkpoint(apply, policy=policy)

  def loss(params, images):
    logits = apply(params, images)
    return jnp.mean(
      optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    )

  return loss


def hessian_products(loss):
  """Returns the Hessian times the tangents, in all orders of the modes."""
  variables, tangents, images, _ = arrays()
  params = variables['params']
  loss = functools.partial(loss, images=images)
  grad = jax.grad(loss)
  slope = lambda params: jax.jvp(loss, (params,), (tangents,))[1]
  along = lambda params: optax.tree.vdot(grad(params), tangents)
  forward = lambda params: jax.jvp(loss, (params,), (tangents,))[1]
  return (
    jax.jvp(grad, (params,), (tangents,))[1],
    jax.grad(slope)(params),
    jax.grad(along)(params),
  ), jax.jvp(forward, (params,), (tangents,))[1]


def assert_close(actual, expected, tolerance=1e-4):
  """Compares trees of arrays; the tolerance is relative to the largest."""
  scale = max(np.max(np.abs(x)) for x in jax.tree.leaves(expected))
  close = lambda a, b: np.testing.assert_allclose(
    a, b, rtol=0, atol=tolerance * scale
  )
  jax.tree.map(close, actual, expected)


@pytest.mark.slow
@pytest.mark.parametrize('train', [False, True])
def test_first_derivatives_match_xla(train):
  variables, tangents, images, _ = arrays()
  params = variables['params']
  along = tangents, jnp.ones_like(images)

  def derivatives(portable):
    loss = loss_of(network(portable), train)
    value, linear = jax.linearize(loss, params, images)
    return {
      'grad': jax.grad(loss, (0, 1))(params, images),
      'jvp': jax.jvp(loss, (params, images), along),
      'linearize': (value, linear(*along)),
    }

  run = jax.jit(derivatives, static_argnums=0)
  actual, expected = run(False), run(True)
  for name in expected:
    assert_close(actual[name], expected[name])
  # The two modes agree.
  slope = optax.tree.vdot(actual['grad'], along)
  np.testing.assert_allclose(actual['jvp'][1], slope, rtol=1e-4)


@pytest.mark.parametrize('train', [False, True])
def test_derivative_matches_finite_differences(train):
  variables, tangents, images, _ = arrays()
  params = variables['params']
  loss = jax.jit(loss_of(network(), train))
  _, slope = jax.jvp(lambda p: loss(p, images), (params,), (tangents,))
  step = 1e-3
  ahead, behind = (
    loss(jax.tree.map(lambda p, t, s=s: p + s * t, params, tangents), images)
    for s in (step, -step)
  )
  np.testing.assert_allclose((ahead - behind) / (2 * step), slope, rtol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize('checkpoint', [False, True])
@pytest.mark.parametrize('train', [False, True])
def test_second_derivatives_match_xla(train, checkpoint):
  run = jax.jit(
    lambda portable: hessian_products(
      loss_of(network(portable), train, checkpoint and not portable)
    ),
    static_argnums=0,
  )
  products, curvature = run(False)
  (expected, *_), expected_curvature = run(True)
  for product in products:
    assert_close(product, expected, 1e-3)
  np.testing.assert_allclose(curvature, expected_curvature, rtol=1e-3)


@pytest.mark.slow
def test_hessian_of_a_layer_is_symmetric():
  variables, _, images, _ = arrays()
  params = variables['params']
  kernel = params['conv_1a']['conv']['kernel'][..., :2]

  def loss(kernel):
    conv = params['conv_1a']['conv']
    whole = conv['kernel'].at[..., :2].set(kernel)
    layer = {**params['conv_1a'], 'conv': {**conv, 'kernel': whole}}
    return loss_of(network(), True)({**params, 'conv_1a': layer}, images)

  size = kernel.size
  hessian = jax.jit(jax.hessian(loss))(kernel).reshape(size, size)
  assert_close(hessian, hessian.T, 1e-3)
  # Without vmap: XLA's YNNPACK fusions (jaxlib 0.10.2) compute
  # jacrev(jacfwd(mean of squares)) wrongly on CPUs.
  tangent = jnp.ones_like(kernel)
  slope = lambda kernel: jax.jvp(loss, (kernel,), (tangent,))[1]
  product = jax.jit(jax.grad(slope))(kernel).reshape(size)
  assert_close(hessian.sum(0), product, 1e-3)


def test_jacobians_of_both_modes_agree():
  variables, _, images, _ = arrays()
  logits = lambda images: network().apply(variables, images)[0]
  small = images[:1, :8, :8]
  forward, reverse = (
    jax.jit(derive(logits))(small) for derive in (jax.jacfwd, jax.jacrev)
  )
  assert_close(forward, reverse)


@pytest.mark.slow
def test_vmap_gives_the_gradient_of_each_image():
  variables, _, images, labels = arrays()

  def loss(params, image, label):
    logits, _ = network().apply({**variables, 'params': params}, image[None])
    return -jax.nn.log_softmax(logits)[0, label]

  each = jax.jit(jax.vmap(jax.grad(loss), (None, 0, 0)))
  grads = each(variables['params'], images, labels)
  whole = jax.grad(loss_of(network(), False))(variables['params'], images)
  assert_close(jax.tree.map(lambda g: g.mean(0), grads), whole)


@pytest.mark.slow
def test_derivatives_are_exported():
  variables, tangents, images, _ = arrays()
  loss = loss_of(network(), True)
  product = jax.jit(
    lambda params: jax.jvp(jax.grad(loss), (params, images), (tangents, images))
  )
  exported = jax.export.export(product)(variables['params'])
  loaded = jax.export.deserialize(exported.serialize())
  actual = loaded.call(variables['params'])
  assert_close(actual, product(variables['params']), 1e-6)
