"""Max pools on CPUs against XLA's own, and that others are left alone."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.distributed import sharding
from inception_jax.models.kernels.pooling import max_pool


def plain(x, size, stride, padding):
  return nn.max_pool(x, (size,) * 2, (stride,) * 2, padding)


def gradient(pool, *how):
  """x → what is pooled, and the gradient of a curved loss."""

  def loss(x):
    y = pool(x, *how)
    return jnp.sum(jnp.sin(y + 1)), y

  return jax.jit(jax.grad(loss, has_aux=True))


def images(size, dtype=np.float32):
  """With many equal pixels, as after a ReLU, and less than nothing."""
  x = np.random.default_rng(0).normal(size=(2, size, size + 1, 5))
  return np.maximum(x, -0.5).astype(dtype)


@pytest.mark.parametrize(
  'how',
  [
    (3, 2, 'VALID'),
    (3, 2, 'SAME'),
    (3, 1, 'SAME'),
    (3, 1, 'VALID'),
    (2, 2, 'VALID'),
    (2, 3, 'VALID'),
    (3, 2, ((1, 1), (0, 2))),
  ],
)
@pytest.mark.parametrize('size', [7, 8, 9])
def test_the_same_as_xlas_own(size, how):
  x = images(size)
  found, y = gradient(max_pool, *how)(x)
  right, expected = gradient(plain, *how)(x)
  np.testing.assert_array_equal(y, expected)
  np.testing.assert_allclose(found, right, atol=1e-6)


def test_the_first_of_equal_maxima_has_the_gradient():
  x = jnp.zeros((1, 3, 3, 1))
  found = jax.grad(lambda x: max_pool(x, 3, 2, 'VALID').sum())(x)
  assert found[0, :, :, 0].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float16])
def test_half_precision_stays_what_it_is(dtype):
  found, y = gradient(max_pool, 3, 2, 'VALID')(images(7, dtype))
  assert {found.dtype, y.dtype} == {jnp.dtype(dtype)}
  expected = plain(images(7, dtype), 3, 2, 'VALID')
  np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize('platform', ['tpu', 'cuda'])
def test_other_platforms_pool_as_ever(platform):
  def lowered(pool):
    traced = gradient(pool, 3, 2, 'VALID').trace(images(7))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    words = ('reduce_window', 'select_and_scatter', 'maximum', 'pad', 'slice')
    return {word: text.count(f'stablehlo.{word}') for word in words}

  assert lowered(max_pool) == lowered(plain)
  assert lowered(max_pool)['select_and_scatter'] == 1


def test_a_split_batch_stays_where_it_is(eight_devices):
  rows = sharding.batch(eight_devices)
  step = jax.jit(
    jax.grad(lambda x: jnp.sum(jnp.sin(max_pool(x, 3, 2, 'VALID')))),
    in_shardings=rows,
    out_shardings=rows,
  )
  x = jax.ShapeDtypeStruct((8, 9, 9, 3), jnp.float32)
  text = step.lower(x).compile().as_text()
  assert 'all-' not in text
