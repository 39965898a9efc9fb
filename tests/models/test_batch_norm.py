import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

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
