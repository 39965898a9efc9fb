import jax
import numpy as np
import pytest

import inception_jax
from inception_jax.errors import UserError
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


def test_only_the_named_outputs_are_computed(tiny):
  images = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
  model = factory.build(tiny, 10)
  variables = jax.jit(model.init)(jax.random.key(0), images)
  everything = inception_jax.features(model, variables, images)
  for names in (['pooled'], ['logits', 'mixed_2a'], ['conv_1b', 'conv_1a']):
    some = inception_jax.features(model, variables, images, names)
    assert list(some) == names
    for name in names:
      np.testing.assert_array_equal(some[name], everything[name])
  operations = {
    name: len(
      jax.make_jaxpr(
        lambda v, x, n=name: inception_jax.features(model, v, x, [n])
      )(variables, images).eqns
    )
    for name in ('conv_1a', 'mixed_2a', 'pooled', 'logits')
  }
  assert sorted(operations, key=operations.get) == list(operations)
  assert len(set(operations.values())) == len(operations)


def test_unknown_outputs_are_refused_before_anything_is_computed(tiny):
  model = factory.build(tiny, 10)
  with pytest.raises(UserError) as caught:
    inception_jax.features(model, {}, None, ['mixed_9z', 'pooled', 'x'])
  stages = ', '.join(name for name, _ in model.table)
  expected = f'expected one of {stages}, pooled, logits'
  assert caught.value.faults == (
    f"no output 'mixed_9z': {expected}",
    f"no output 'x': {expected}",
  )
