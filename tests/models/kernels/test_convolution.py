"""Convolutions on CPUs against XLA's own, and that others are left alone."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.distributed import sharding
from inception_jax.models.kernels.convolution import conv_general_dilated

HIGHEST = lax.Precision.HIGHEST
# (kernel, strides, padding, size): all kinds that the networks have, and edges.
KINDS = [
  ((3, 3), (1, 1), 'SAME', 16),
  ((3, 3), (1, 1), 'VALID', 19),
  ((3, 3), (2, 2), 'VALID', 34),
  ((1, 7), (1, 1), 'SAME', 17),
  ((1, 1), (1, 1), 'SAME', 8),
  ((1, 1), (2, 2), 'VALID', 8),
  ((3, 3), (1, 1), 'SAME', 8),
  ((3, 3), (1, 1), 'VALID', 8),
  ((3, 3), (2, 2), 'VALID', 8),
  ((3, 3), (2, 2), 'VALID', 9),
  ((3, 3), (2, 2), 'SAME', 8),
  ((5, 5), (1, 1), 'SAME', 8),
  ((1, 7), (1, 1), 'SAME', 8),
  ((7, 1), (1, 1), 'SAME', 8),
  ((1, 3), (1, 1), ((0, 0), (2, 0)), 8),
  ((5, 5), (1, 1), 'VALID', 5),
]
# Of so many pixels that the kernel's gradient is another convolution's.
LARGE = [
  ((3, 3), (1, 1), 'SAME', 32),
  ((3, 3), (1, 1), 'VALID', 34),
  ((1, 7), (1, 1), 'SAME', 33),
  ((7, 1), (1, 1), 'SAME', 33),
  ((5, 5), (1, 1), ((2, 2), (1, 3)), 33),
]


def plain(x, kernel, strides, padding):
  return lax.conv_general_dilated(
    x,
    kernel,
    strides,
    padding,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    precision=HIGHEST,
  )


def gradients(conv, strides, padding):
  """(x, kernel) → what is convolved, and the gradients of a curved loss."""

  def loss(x, kernel):
    y = conv(x, kernel, strides, padding)
    return jnp.sum(jnp.sin(y)), y

  return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))


def ours(x, kernel, strides, padding):
  return conv_general_dilated(x, kernel, strides, padding, precision=HIGHEST)


def arrays(kernel, size, dtype=np.float32):
  random = np.random.default_rng(0)
  shapes = (2, size, size, 3), (*kernel, 3, 4)
  return [random.normal(size=shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize(
  ('kernel', 'strides', 'padding', 'size', 'atol'),
  [(*kind, 2e-5) for kind in KINDS]
  + [(*kind, 1e-4) for kind in LARGE],  # sums of thousands, up to 60
)
def test_the_same_as_xlas_own(kernel, strides, padding, size, atol):
  x, k = arrays(kernel, size)
  ((_, y), found) = gradients(ours, strides, padding)(x, k)
  ((_, expected), right) = gradients(plain, strides, padding)(x, k)
  np.testing.assert_allclose(y, expected, atol=1e-5)
  for a, b in zip(found, right, strict=True):
    np.testing.assert_allclose(a, b, atol=atol)


def test_bfloat16_stays_what_it_is():
  x, k = arrays((3, 3), 8, jnp.bfloat16)
  ((_, y), found) = gradients(ours, (1, 1), 'SAME')(x, k)
  assert {a.dtype for a in (y, *found)} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize('platform', ['tpu', 'cuda'])
@pytest.mark.parametrize('kernel', [(1, 1), (3, 3)])
def test_other_platforms_convolve_as_ever(platform, kernel):
  def lowered(conv):
    traced = gradients(conv, (1, 1), 'SAME').trace(*arrays(kernel, 8))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    words = ('convolution', 'dot_general', 'pad', 'slice')
    counts = {word: text.count(f'stablehlo.{word}') for word in words}
    return {**counts, 'exact': text.count('HIGHEST')}

  assert lowered(ours) == lowered(plain)
  assert lowered(ours)['convolution'] == 3
  assert lowered(ours)['exact'] == 6


@pytest.mark.parametrize('size', [8, 34])
def test_a_split_batch_stays_where_it_is(size, eight_devices):
  rows, whole = (
    sharding.batch(eight_devices),
    sharding.replicated(eight_devices),
  )
  step = jax.jit(
    jax.grad(lambda x, k: jnp.sum(jnp.sin(ours(x, k, (1, 1), 'SAME'))), (0, 1)),
    in_shardings=(rows, whole),
    out_shardings=(rows, whole),
  )
  x = jax.ShapeDtypeStruct((8, size, size, 3), jnp.float32)
  text = step.lower(x, jnp.zeros((3, 3, 3, 4))).compile().as_text()
  assert text.count(' all-reduce(') == 1
  assert 'all-gather' not in text
