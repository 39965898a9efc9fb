"""The TPU versions of scatters and gathers equal the default ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.data.augment import image_ops
from inception_jax.data.augment import tpu_ops


@pytest.fixture(scope='module', params=[1, 3])
def image(request):
  shape = (37, 53, request.param)
  image = np.random.default_rng(0).integers(0, 256, shape)
  image[:5] = 255  # the most frequent level
  return jnp.float32(image)


def test_histograms_and_look_up_equal_the_default(image):
  levels = image.astype(jnp.int32)
  counts = tpu_ops.histograms(levels)
  assert counts.shape == (256, image.shape[-1])
  assert (counts.sum(0) == image[..., 0].size).all()
  np.testing.assert_array_equal(counts, image_ops.histograms(levels))
  table = np.random.default_rng(1).integers(0, 256, counts.shape)
  np.testing.assert_array_equal(
    tpu_ops.look_up(table, levels), image_ops.look_up(table, levels)
  )


def test_interpolation_equals_the_default(image):
  # Inside, just outside, far outside, and exactly on pixels.
  size = np.array(image.shape[:2])[:, None, None]
  random = np.random.default_rng(2)
  source = random.uniform(-3, size + 2, (2, *image.shape[:2]))
  source[:, 0] = -1e6
  source[:, 1] = np.round(source[:, 1])
  source[:, 2, :2] = [-1e-3, size[1, 0, 0] - 1]
  source = jnp.float32(source)
  fill = jnp.arange(1.0, 1 + image.shape[-1])
  out = tpu_ops.interpolate(image, source, fill)
  np.testing.assert_allclose(
    out, image_ops.interpolate(image, source, fill), atol=1e-3
  )
  np.testing.assert_array_equal(out[0], jnp.broadcast_to(fill, out[0].shape))


def lowered(platform, equalize):
  # Vectorized over images, as in policies.
  index = image_ops.NAMES.index(equalize)
  apply = jax.vmap(
    lambda x: image_ops.apply(x, index, 0.0, jnp.zeros(3), (equalize,))
  )
  images = jax.ShapeDtypeStruct((2, 9, 9, 3), jnp.float32)
  traced = jax.jit(apply).trace(images)
  return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize('equalize', ['equalize', 'equalize_opencv'])
def test_only_tpus_get_the_tpu_versions(equalize):
  on_cpu, on_tpu = lowered('cpu', equalize), lowered('tpu', equalize)
  # Other scatters, of a few elements, are in both.
  scatters = [text.count('"stablehlo.scatter"(') for text in (on_cpu, on_tpu)]
  assert scatters[0] == scatters[1] + 1
  assert on_cpu.count('optimization_barrier') == 0
  assert on_tpu.count('optimization_barrier') == 1
