import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.config import defaults
from inception_jax.errors import UserError
from inception_jax.models import batch_norm
from inception_jax.models.batch_norm import GroupedBatchNorm


def test_groups_are_normalised_separately_and_statistics_averaged():
  x = jax.random.normal(jax.random.key(0), (8, 3, 3, 4)) * 5 + 2
  x *= jnp.arange(1, 9)[:, None, None, None]
  options = {'use_running_average': False, 'momentum': 0.5}
  variables = nn.BatchNorm(**options).init(jax.random.key(0), x)
  variables['params']['scale'] = jnp.arange(1.0, 5.0)
  apply = lambda bn, x: bn.apply(variables, x, mutable=['batch_stats'])
  y, updated = apply(GroupedBatchNorm(**options, groups=4), x)
  parts = [
    apply(nn.BatchNorm(**options), part) for part in x.reshape(4, 2, 3, 3, 4)
  ]
  np.testing.assert_allclose(
    y, jnp.concatenate([p for p, _ in parts]), rtol=1e-5
  )
  mean = jax.tree.map(lambda *x: sum(x) / 4, *(u for _, u in parts))
  assert jax.tree.structure(updated) == jax.tree.structure(mean)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), updated, mean
  )


@pytest.mark.parametrize(
  ('value', 'devices', 'groups'),
  [
    ('global', 8, 1),
    ('replica', 8, 8),
    ('replica', 1, 1),
    ('16 images', 1, 4),
    ('16 images', 4, 4),
    ('64 images', 1, 1),
  ],
)
def test_groups_of_64_images(value, devices, groups):
  assert batch_norm.is_setting(value)
  assert batch_norm.groups(value, 64, devices) == groups


@pytest.mark.parametrize('value', ['', 'local', '0 images', '16', '-1 images'])
def test_other_settings_are_invalid(value):
  assert not batch_norm.is_setting(value)


@pytest.mark.parametrize(
  ('value', 'devices', 'share'), [('24 images', 1, '64'), ('16 images', 8, '8')]
)
def test_groups_must_divide_the_images_of_a_device(value, devices, share):
  with pytest.raises(UserError, match=f'{devices} devices has {share} images'):
    batch_norm.groups(value, 64, devices)


def test_statistics_are_cold_until_little_of_their_start_is_left():
  config = defaults.get_config()
  config.model.bn_momentum = 0.99
  # 0.99 ** 298 = 0.0500, 0.99 ** 299 = 0.0495
  line = batch_norm.cold_statistics(config, 100)
  assert 'still 36.6% their initial values after step 100' in line
  assert 'before step 299' in line and 'than 0.99' in line
  assert batch_norm.cold_statistics(config, 298)
  assert not batch_norm.cold_statistics(config, 299)
  # Each microbatch updates them.
  config.gradient_accumulation = 2
  assert not batch_norm.cold_statistics(config, 150)
  assert 'before step 150' in batch_norm.cold_statistics(config, 149)
  # Loaded weights bring statistics of their own.
  config.fine_tune.checkpoint = 'runs/v3'
  assert not batch_norm.cold_statistics(config, 1)
