import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.models import layers
from inception_jax.models import specs
from tests.support.networks import abstract_variables
from tests.support.networks import resolved_config


@pytest.mark.parametrize(
  ('name', 'width', 'channels'),
  [
    # 0.3 × 32 = 9.6, 0.3 × 80 = 24, 0.3 × 192 = 57.6
    ('inception_v3', 0.3, {'conv_1a': 8, 'conv_3b': 24, 'conv_4a': 56}),
    ('inception_v4', 0.01, {'conv_1a': 8}),
  ],
)
def test_width_rounds_channels_to_multiples_of_eight(name, width, channels):
  config = resolved_config(name, width=width)
  params = abstract_variables(config, 10)['params']
  assert params['conv_1a']['conv']['kernel'].shape == (3, 3, 3, 8)
  for layer, expected in channels.items():
    assert params[layer]['conv']['kernel'].shape[-1] == expected


def test_average_pools_ignore_the_padding_by_default():
  # On a constant image, counting the zeros of the padding would show.
  ones = jnp.ones((1, 5, 5, 2))
  pooled = layers.pool(ones, specs.AVG_POOL, layers.LayerOptions())
  np.testing.assert_allclose(pooled, ones, rtol=1e-6)
  counted = layers.LayerOptions(count_include_pad=True)
  pooled = layers.pool(ones, specs.AVG_POOL, counted)
  np.testing.assert_allclose(pooled[0, 0, 0], 4 / 9, rtol=1e-6)


def test_max_pool_gradient_is_summed_in_float32():
  pool = lambda x: layers.pool(x, specs.MAX_POOL, layers.LayerOptions())
  image = jnp.zeros((1, 3, 3, 1), jnp.float16).at[0, 1, 1, 0].set(1)
  pooled, pullback = jax.vjp(pool, image)
  assert pooled.dtype == jnp.float16
  # The middle is the maximum of all nine windows, and float16 cannot represent
  # 2049.
  (gradient,) = pullback(jnp.ones_like(pooled).at[0, 0, 0, 0].set(2048))
  assert gradient[0, 1, 1, 0] == 2056
  assert jnp.count_nonzero(gradient) == 1
