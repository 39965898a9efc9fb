"""Convolutions against XLA's own, on CPUs and as other platforms lower them."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.distributed import sharding
from inception_jax.models.kernels import convolution
from inception_jax.models.kernels.convolution import conv_general_dilated

HIGHEST = lax.Precision.HIGHEST
# (kernel, strides, padding, size): every kind in the networks, and edge cases.
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
# With so many pixels that the kernel gradient is another convolution.
LARGE = [
  ((3, 3), (1, 1), 'SAME', 32),
  ((3, 3), (1, 1), 'VALID', 34),
  ((1, 7), (1, 1), 'SAME', 33),
  ((7, 1), (1, 1), 'SAME', 33),
  ((5, 5), (1, 1), ((2, 2), (1, 3)), 33),
]
# One for each way of computing a gradient on CPUs.
WAYS = [KINDS[4], KINDS[8], KINDS[0], KINDS[2], KINDS[14], LARGE[0]]


def xla_conv(x, kernel, strides, padding):
  return lax.conv_general_dilated(
    x,
    kernel,
    strides,
    padding,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    precision=HIGHEST,
  )


def our_conv(x, kernel, strides, padding):
  return conv_general_dilated(x, kernel, strides, padding, precision=HIGHEST)


def loss_of(conv, strides, padding):
  """(x, kernel) → a nonlinear loss."""
  return lambda x, kernel: jnp.sum(jnp.sin(conv(x, kernel, strides, padding)))


def gradients(conv, strides, padding):
  """(x, kernel) → ((loss, output), gradients of a nonlinear loss)."""

  def loss(x, kernel):
    y = conv(x, kernel, strides, padding)
    return jnp.sum(jnp.sin(y)), y

  return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))


def arrays(kernel, size, dtype=np.float32, seed=0):
  random = np.random.default_rng(seed)
  shapes = (2, size, size, 3), (*kernel, 3, 4)
  return [random.normal(size=shape).astype(dtype) for shape in shapes]


def assert_close(actual, expected, tolerance=1e-5):
  """Compares trees of arrays; the tolerance is relative to each one's norm."""

  def compare(a, b):
    scale = np.sqrt(np.mean(np.square(b)))
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * (scale + 1))

  jax.tree.map(compare, actual, expected)


@pytest.mark.parametrize(
  ('kernel', 'strides', 'padding', 'size', 'atol'),
  [(*kind, 2e-5) for kind in KINDS]
  + [(*kind, 1e-4) for kind in LARGE],  # sums of thousands, up to 60
)
def test_output_and_gradients_match_xla(kernel, strides, padding, size, atol):
  x, k = arrays(kernel, size)
  ((_, y), actual) = gradients(our_conv, strides, padding)(x, k)
  ((_, expected_y), expected) = gradients(xla_conv, strides, padding)(x, k)
  np.testing.assert_allclose(y, expected_y, atol=1e-5)
  for a, b in zip(actual, expected, strict=True):
    np.testing.assert_allclose(a, b, atol=atol)


@pytest.mark.parametrize(('kernel', 'strides', 'padding', 'size'), WAYS)
def test_forward_mode_matches_xla(kernel, strides, padding, size):
  primals, tangents = arrays(kernel, size), arrays(kernel, size, seed=1)

  def jvps(conv):
    f = lambda x, kernel: conv(x, kernel, strides, padding)
    _, linear = jax.linearize(f, *primals)
    return jax.jvp(f, primals, tangents), linear(*tangents)

  actual, expected = jax.jit(jvps, static_argnums=0)(our_conv), jvps(xla_conv)
  assert_close(actual, expected)


@pytest.mark.parametrize(('kernel', 'strides', 'padding', 'size'), WAYS)
def test_second_derivatives_match_xla(kernel, strides, padding, size):
  primals, tangents = arrays(kernel, size), arrays(kernel, size, seed=1)

  def products(conv):
    """The Hessian times the tangents, in all three orders of the modes."""
    loss = loss_of(conv, strides, padding)
    grad = jax.grad(loss, (0, 1))
    inner = lambda a, b: sum(jnp.vdot(*pair) for pair in zip(a, b, strict=True))
    slope = lambda *args: jax.jvp(loss, args, tuple(tangents))[1]
    return (
      jax.jvp(grad, primals, tangents)[1],
      jax.grad(slope, (0, 1))(*primals),
      jax.grad(lambda *args: inner(grad(*args), tangents), (0, 1))(*primals),
    )

  actual = jax.jit(products, static_argnums=0)(our_conv)
  expected, *_ = jax.jit(products, static_argnums=0)(xla_conv)
  for product in actual:
    assert_close(product, expected)


@pytest.mark.parametrize('kind', [KINDS[4], KINDS[6]])
@pytest.mark.parametrize('derive', [jax.jacfwd, jax.jacrev, jax.hessian])
def test_jacobians_match_xla(derive, kind):
  kernel, *how, _ = kind
  x, k = arrays(kernel, 4)
  for argument in (0, 1):
    actual, expected = (
      jax.jit(derive(lambda *args, c=conv: jnp.sin(c(*args, *how)), argument))
      for conv in (our_conv, xla_conv)
    )
    assert_close(actual(x[:1], k), expected(x[:1], k))


@pytest.mark.parametrize(
  'in_axes',
  [
    [(1, None)],
    [(None, 2)],
    [(0, 3)],
    [(0, None), (None, 0)],
    [(0, 1), (2, None)],
    [(1, 0), (None, 4)],
    [(0, 0), (1, 1)],
  ],
)
@pytest.mark.parametrize('kind', [KINDS[4], KINDS[6], KINDS[10]])
def test_vmap_matches_xla(kind, in_axes):
  kernel, strides, padding, _ = kind
  shapes = [(2, 6, 6, 3), (*kernel, 3, 4)]
  # Of the innermost function first.
  for count, axes in enumerate(in_axes, start=2):
    for i, axis in enumerate(axes):
      if axis is not None:
        shapes[i] = (*shapes[i][:axis], count, *shapes[i][axis:])
  random = np.random.default_rng(0)
  args = [random.normal(size=s).astype(np.float32) for s in shapes]

  def derivatives(conv):
    def mapped(f):
      for axes in in_axes:
        f = jax.vmap(f, axes)
      return f

    loss = loss_of(conv, strides, padding)
    total = lambda *args: jnp.sum(mapped(loss)(*args) ** 2)
    return (
      mapped(jax.grad(loss, (0, 1)))(*args),
      jax.grad(total, (0, 1))(*args),
    )

  run = jax.jit(derivatives, static_argnums=0)
  assert_close(run(our_conv), run(xla_conv))


def test_runs_without_jit():
  primals = arrays((3, 3), 6)
  grad = jax.grad(loss_of(our_conv, (1, 1), 'SAME'), (0, 1))
  expected = jax.jit(grad)(*primals)
  assert_close(grad(*primals), expected)
  with jax.disable_jit():
    assert_close(grad(*primals), expected)


@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float16])
def test_half_precision_is_kept(dtype):
  x, k = arrays((3, 3), 8, dtype)
  ((_, y), grads) = gradients(our_conv, (1, 1), 'SAME')(x, k)
  f = lambda x, k: our_conv(x, k, (1, 1), 'SAME')
  _, tangent = jax.jvp(f, (x, k), (x, k))
  assert {a.dtype for a in (y, *grads, tangent)} == {jnp.dtype(dtype)}


def test_checkpoint_stores_only_the_output():
  x, k = arrays((3, 3), 8)
  names = [convolution.CHECKPOINT_NAME]
  policy = jax.checkpoint_policies.save_only_these_names(*names)
  loss = jax.checkpoint(loss_of(our_conv, (1, 1), 'SAME'), policy=policy)
  _, vjp = jax.vjp(loss, x, k)
  stored = sorted(a.shape for a in jax.tree.leaves(vjp) if a.ndim)
  assert stored == sorted([x.shape, k.shape, (2, 8, 8, 4)])
  grad = jax.grad(loss, (0, 1))
  # The forward pass computes it, and the backward pass does not repeat it.
  assert str(jax.make_jaxpr(grad)(x, k)).count(' inception_conv[') == 1
  plain = jax.grad(loss_of(our_conv, (1, 1), 'SAME'), (0, 1))
  np.testing.assert_array_equal(jax.jit(grad)(x, k)[1], jax.jit(plain)(x, k)[1])
  expected = jax.jvp(plain, (x, k), (x, k))
  assert_close(jax.jvp(grad, (x, k), (x, k)), expected)


@pytest.mark.parametrize('platform', ['tpu', 'cuda'])
@pytest.mark.parametrize('kernel', [(1, 1), (3, 3)])
def test_other_platforms_get_xlas_lowering(platform, kernel):
  def lowered(conv):
    traced = gradients(conv, (1, 1), 'SAME').trace(*arrays(kernel, 8))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    words = ('convolution', 'dot_general', 'pad', 'slice')
    counts = {word: text.count(f'stablehlo.{word}') for word in words}
    return {**counts, 'exact': text.count('HIGHEST')}

  assert lowered(our_conv) == lowered(xla_conv)
  assert lowered(our_conv)['convolution'] == 3
  assert lowered(our_conv)['exact'] == 6


def test_one_export_serves_several_platforms():
  x, k = arrays((1, 1), 8)
  grad = jax.jit(jax.grad(loss_of(our_conv, (1, 1), 'SAME'), (0, 1)))
  exported = jax.export.export(grad, platforms=('cpu', 'tpu'))(x, k)
  loaded = jax.export.deserialize(exported.serialize())
  assert_close(loaded.call(x, k), grad(x, k))


@pytest.mark.parametrize('size', [8, 34])
def test_sharded_batch_is_not_gathered(size, eight_devices):
  rows, whole = (
    sharding.batch(eight_devices),
    sharding.replicated(eight_devices),
  )
  step = jax.jit(
    jax.grad(loss_of(our_conv, (1, 1), 'SAME'), (0, 1)),
    in_shardings=(rows, whole),
    out_shardings=(rows, whole),
  )
  x = jax.ShapeDtypeStruct((8, size, size, 3), jnp.float32)
  text = step.lower(x, jnp.zeros((3, 3, 3, 4))).compile().as_text()
  assert text.count(' all-reduce(') == 1
  assert 'all-gather' not in text


def test_shard_map_never_omits_a_sum(eight_devices):
  (axis,) = eight_devices.axis_names
  rows, whole = jax.P(axis), jax.P()
  random = np.random.default_rng(0)
  x = random.normal(size=(8, 6, 6, 3)).astype(np.float32)
  k = random.normal(size=(3, 3, 3, 4)).astype(np.float32)
  loss = loss_of(our_conv, (1, 1), 'SAME')

  def total(check_vma):
    local = lambda x, k: lax.psum(loss(x, k), axis)
    return jax.shard_map(
      local,
      mesh=eight_devices,
      in_specs=(rows, whole),
      out_specs=whole,
      check_vma=check_vma,
    )

  assert_close(total(True)(x, k), loss(x, k))
  grad = jax.jit(jax.grad(total(False), 1))
  assert_close(grad(x, k), jax.grad(loss, 1)(x, k))
  with pytest.raises(ValueError, match='Expected cotangent type'):
    jax.jit(jax.grad(total(True), 1))(x, k)
