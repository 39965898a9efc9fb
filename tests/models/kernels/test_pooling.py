"""Max pools against XLA's own, on CPUs and as other platforms lower them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.distributed import sharding
from inception_jax.models.kernels.pooling import max_pool

# (size, stride, padding)
KINDS = [
  (3, 2, 'VALID'),
  (3, 2, 'SAME'),
  (3, 1, 'SAME'),
  (3, 1, 'VALID'),
  (2, 2, 'VALID'),
  (2, 3, 'VALID'),
  (3, 2, ((1, 1), (0, 2))),
]


def xla_max_pool(x, size, stride, padding):
  return nn.max_pool(x, (size,) * 2, (stride,) * 2, padding)


def loss_of(pool, *how):
  """x → a nonlinear loss."""
  return lambda x: jnp.sum(jnp.sin(pool(x, *how) + 1))


def gradient(pool, *how):
  """x → (gradient of a nonlinear loss, output)."""

  def loss(x):
    y = pool(x, *how)
    return jnp.sum(jnp.sin(y + 1)), y

  return jax.jit(jax.grad(loss, has_aux=True))


def images(size, dtype=np.float32):
  """With many equal pixels, as after a ReLU, and negative ones."""
  x = np.random.default_rng(0).normal(size=(2, size, size + 1, 5))
  return np.maximum(x, -0.5).astype(dtype)


def tangent_of(x):
  return np.random.default_rng(1).normal(size=x.shape).astype(x.dtype)


@pytest.mark.parametrize('how', KINDS)
@pytest.mark.parametrize('size', [7, 8, 9])
def test_output_and_gradient_match_xla(size, how):
  x = images(size)
  actual, y = gradient(max_pool, *how)(x)
  expected, expected_y = gradient(xla_max_pool, *how)(x)
  np.testing.assert_array_equal(y, expected_y)
  np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize('how', KINDS)
@pytest.mark.parametrize('size', [7, 8])
def test_forward_mode_matches_xla(size, how):
  x = images(size)
  tangent = tangent_of(x)

  def derivatives(pool):
    f = lambda x: pool(x, *how)
    return jax.jvp(f, (x,), (tangent,)), jax.linearize(f, x)[1](tangent)

  run = jax.jit(derivatives, static_argnums=0)
  jax.tree.map(np.testing.assert_array_equal, run(max_pool), run(xla_max_pool))


@pytest.mark.parametrize('how', KINDS)
def test_second_derivatives_match_xla(how):
  x = images(8)
  tangent = tangent_of(x)

  def products(pool):
    """The Hessian times the tangent, in all three orders of the modes."""
    loss = loss_of(pool, *how)
    grad = jax.grad(loss)
    slope = lambda x: jax.jvp(loss, (x,), (tangent,))[1]
    return (
      jax.jvp(grad, (x,), (tangent,))[1],
      jax.grad(slope)(x),
      jax.grad(lambda x: jnp.vdot(grad(x), tangent))(x),
    )

  run = jax.jit(products, static_argnums=0)
  expected, *_ = run(xla_max_pool)
  for product in run(max_pool):
    np.testing.assert_allclose(product, expected, atol=1e-5)


@pytest.mark.parametrize('derive', [jax.jacfwd, jax.jacrev, jax.hessian])
def test_jacobians_match_xla(derive):
  x = images(5)[:1, ..., :2]
  actual, expected = (
    jax.jit(derive(lambda x, p=pool: jnp.sin(p(x, 3, 2, 'SAME'))))(x)
    for pool in (max_pool, xla_max_pool)
  )
  np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize('axis', [0, 2, 4])
def test_vmap_matches_xla(axis):
  x = np.stack([images(7), images(7)[::-1], -images(7)], axis)

  def derivatives(pool):
    loss = loss_of(pool, 3, 2, 'SAME')
    total = lambda x: jnp.sum(jax.vmap(loss, axis)(x) ** 2)
    return jax.vmap(jax.grad(loss), axis)(x), jax.grad(total)(x)

  run = jax.jit(derivatives, static_argnums=0)
  for a, b in zip(run(max_pool), run(xla_max_pool), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_runs_without_jit():
  x = images(7)
  grad = jax.grad(loss_of(max_pool, 3, 2, 'SAME'))
  expected = jax.jit(grad)(x)
  np.testing.assert_allclose(grad(x), expected, atol=1e-6)
  with jax.disable_jit():
    np.testing.assert_allclose(grad(x), expected, atol=1e-6)


def test_gradient_goes_to_the_first_of_equal_maxima():
  x = jnp.zeros((1, 3, 3, 1))
  grad = jax.grad(lambda x: max_pool(x, 3, 2, 'VALID').sum())(x)
  first = [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
  assert grad[0, :, :, 0].tolist() == first
  jacobian = jax.jacfwd(lambda x: max_pool(x, 3, 2, 'VALID').sum())(x)
  assert jacobian[0, :, :, 0].tolist() == first


@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float16])
def test_half_precision_is_kept(dtype):
  x = images(7, dtype)
  grad, y = gradient(max_pool, 3, 2, 'VALID')(x)
  _, tangent = jax.jvp(lambda x: max_pool(x, 3, 2, 'VALID'), (x,), (x,))
  assert {grad.dtype, y.dtype, tangent.dtype} == {jnp.dtype(dtype)}
  np.testing.assert_array_equal(y, xla_max_pool(x, 3, 2, 'VALID'))
  np.testing.assert_array_equal(tangent, y)


@pytest.mark.parametrize('platform', ['tpu', 'cuda'])
def test_other_platforms_get_xlas_lowering(platform):
  def lowered(pool):
    traced = gradient(pool, 3, 2, 'VALID').trace(images(7))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    words = ('reduce_window', 'select_and_scatter', 'maximum', 'pad', 'slice')
    return {word: text.count(f'stablehlo.{word}') for word in words}

  assert lowered(max_pool) == lowered(xla_max_pool)
  assert lowered(max_pool)['select_and_scatter'] == 1


def test_sharded_batch_is_not_gathered(eight_devices):
  rows = sharding.batch(eight_devices)
  step = jax.jit(
    jax.grad(lambda x: jnp.sum(jnp.sin(max_pool(x, 3, 2, 'VALID')))),
    in_shardings=rows,
    out_shardings=rows,
  )
  x = jax.ShapeDtypeStruct((8, 9, 9, 3), jnp.float32)
  text = step.lower(x).compile().as_text()
  assert 'all-' not in text
