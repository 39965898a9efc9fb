import jax
import numpy as np

import inception_jax
from inception_jax.models import factory


def test_features_have_every_stage_and_the_input_of_the_head(tiny):
  images = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
  model = factory.build(tiny, 10)
  variables = jax.jit(model.init)(jax.random.key(0), images)
  extract = jax.jit(inception_jax.features, static_argnums=0)
  features = extract(model, variables, images)
  stages = [name for name, _ in model.table]
  assert features.keys() == {*stages, 'pooled', 'logits'}
  assert features['mixed_2a'].shape == (2, 7, 7, 32)
  np.testing.assert_allclose(
    features['pooled'], features['mixed_3a'].mean((1, 2)), rtol=1e-6
  )
  dense = variables['params']['head']['dense']
  np.testing.assert_allclose(
    features['logits'],
    features['pooled'] @ dense['kernel'] + dense['bias'],
    rtol=1e-5,
    atol=1e-5,
  )
  logits, _ = model.apply(variables, images)
  np.testing.assert_allclose(features['logits'], logits, rtol=1e-5, atol=1e-5)
