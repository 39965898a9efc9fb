"""Networks against the published tables and parameter counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.models import factory
from inception_jax.models import specs
from inception_jax.training import train_state
from tests.support import timm_golden
from tests.support.networks import abstract_variables
from tests.support.networks import resolved_config


@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'aux_head', 'num_classes', 'trainable', 'statistics'),
  [
    ('inception_v3', False, 1000, 23_834_568, 34_432),
    ('inception_v3', False, 10, 21_806_058, 34_432),
    ('inception_v3', True, 1000, 27_161_264, 36_224),
    ('inception_v3', True, 10, 24_371_444, 36_224),
    ('inception_v4', False, 1000, 42_679_816, 63_168),
    ('inception_v4', False, 10, 41_158_186, 63_168),
    ('inception_v4', True, 1000, 46_039_280, 64_960),
    ('inception_v4', True, 10, 43_756_340, 64_960),
    ('inception_resnet_v2', False, 1000, 55_843_464, 60_544),
    ('inception_resnet_v2', False, 10, 54_321_834, 60_544),
    ('inception_resnet_v2', True, 1000, 59_211_120, 62_336),
    ('inception_resnet_v2', True, 10, 56_928_180, 62_336),
    ('fid_inception_v3', False, 1008, 23_850_960, 34_432),
    ('cifar_inception_v3', False, 10, 22_133_738, None),
    ('cifar_inception_v3', False, 100, 22_318_148, None),
    ('cifar_inception_v4', False, 100, 41_296_516, None),
    ('cifar_inception_resnet_v2', False, 10, 65_257_662, None),
    ('cifar_inception_resnet_v2', False, 100, 65_442_072, None),
  ],
)
def test_parameter_counts_are_the_published_ones(
  name, aux_head, num_classes, trainable, statistics
):
  variables = abstract_variables(
    resolved_config(name, aux_head=aux_head), num_classes
  )
  assert train_state.num_params(variables['params']) == trainable
  if statistics is not None:  # not published for the 32×32 family
    assert train_state.num_params(variables['batch_stats']) == statistics


V3_IMAGENET = {
  'conv_1a': (149, 32),
  'conv_2a': (147, 32),
  'conv_2b': (147, 64),
  'conv_3b': (73, 80),
  'conv_4a': (71, 192),
  'mixed_5b': (35, 256),
  'mixed_5c': (35, 288),
  'mixed_5d': (35, 288),
  'mixed_6a': (17, 768),
  'mixed_6e': (17, 768),
  'mixed_7a': (8, 1280),
  'mixed_7c': (8, 2048),
}
V4_IMAGENET = {
  'conv_1a': (149, 32),
  'conv_2b': (147, 64),
  'mixed_3a': (73, 160),
  'mixed_4a': (71, 192),
  'mixed_5a': (35, 384),
  'mixed_5e': (35, 384),
  'mixed_6a': (17, 1024),
  'mixed_6h': (17, 1024),
  'mixed_7a': (8, 1536),
  'mixed_7d': (8, 1536),
}
RESNET_IMAGENET = {
  'conv_4a': (71, 192),
  'mixed_5b': (35, 320),
  'block35_10': (35, 320),
  'mixed_6a': (17, 1088),
  'block17_20': (17, 1088),
  'mixed_7a': (8, 2080),
  'block8_10': (8, 2080),
  'conv_7b': (8, 1536),
}
V3_SMALL = {'conv_2b': (32, 64), 'mixed_5d': (30, 288), 'mixed_6e': (14, 768)}
V3_SMALL |= {'mixed_7c': (6, 2048)}
V4_SMALL = {'conv_2b': (30, 64), 'mixed_5e': (30, 384), 'mixed_6h': (14, 1024)}
V4_SMALL |= {'mixed_7d': (6, 1536)}
CIFAR_V4 = {**V4_SMALL, 'mixed_7d': (7, 1536)}  # its last reduction is padded
CIFAR_RESNET = {
  'mixed_5a': (30, 384),
  'block_a_5': (30, 384),
  'reduction_a': (14, 1152),
  'block_b_10': (14, 1154),
  'reduction_b': (6, 2146),
  'block_c_5': (6, 2048),
}


@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'stem', 'size', 'expected'),
  [
    ('inception_v3', 'imagenet', 299, V3_IMAGENET),
    ('inception_v4', 'imagenet', 299, V4_IMAGENET),
    ('inception_resnet_v2', 'imagenet', 299, RESNET_IMAGENET),
    ('inception_v3', 'small', 32, V3_SMALL),
    ('inception_v4', 'small', 32, V4_SMALL),
    ('cifar_inception_v3', 'small', 32, V3_SMALL),
    ('cifar_inception_v4', 'small', 32, CIFAR_V4),
    ('cifar_inception_resnet_v2', 'small', 32, CIFAR_RESNET),
  ],
)
def test_stages_have_the_published_shapes(name, stem, size, expected):
  model = factory.build(resolved_config(name, stem), 10)
  images = jnp.zeros((2, size, size, 3))
  _, state = jax.eval_shape(
    lambda: model.init_with_output(
      jax.random.key(0), images, capture_intermediates=True
    )
  )
  for stage, (grid, channels) in expected.items():
    (output,) = state['intermediates'][stage]['__call__']
    assert output.shape == (2, grid, grid, channels), stage


def apply(config, variables, images, **kwargs):
  model = factory.build(config, 10)
  return jax.jit(lambda v, x: model.apply(v, x, **kwargs))(variables, images)


def test_config_sets_dropout_and_batch_norm(tiny):
  images = jax.random.normal(jax.random.key(1), (4, 16, 16, 3))
  variables = jax.jit(factory.build(tiny, 10).init)(jax.random.key(0), images)
  train = {
    'train': True,
    'mutable': ['batch_stats'],
    'rngs': {'dropout': jax.random.key(2)},
  }
  (logits, aux), updates = apply(tiny, variables, images, **train)
  assert aux.shape == logits.shape == (4, 10)

  tiny.model.dropout_rate = 0.0
  (no_dropout, _), _ = apply(tiny, variables, images, **train)
  assert not np.allclose(logits, no_dropout)

  # The old statistic is 0, so the new one scales with 1 − momentum.
  mean = updates['batch_stats']['conv_1a']['bn']['mean']
  tiny.model.bn_momentum = 0.6
  _, faster = apply(tiny, variables, images, **train)
  np.testing.assert_allclose(
    faster['batch_stats']['conv_1a']['bn']['mean'], 4 * mean, rtol=1e-4
  )

  tiny.model.bn_epsilon = 3.0
  (damped, _), _ = apply(tiny, variables, images, **train)
  assert not np.allclose(damped, no_dropout, rtol=1e-2)


def test_drop_path_rates_rise_with_depth_as_in_timm():
  config = resolved_config('inception_resnet_v2', drop_path_rate=0.05)
  model = factory.build(config, 10)
  rates = specs.drop_path_rates(model.table, model.drop_path_rate)
  blocks = [name for name, _ in model.table if name.startswith('block')]
  assert list(rates) == blocks
  golden = timm_golden.part('drop_path')['rates']
  np.testing.assert_allclose(list(rates.values()), golden, rtol=1e-5)


def test_evaluation_has_no_auxiliary_logits(tiny):
  images = jnp.ones((2, 16, 16, 3))
  model = factory.build(tiny, 10)
  variables = jax.eval_shape(model.init, jax.random.key(0), images)
  assert 'aux' in variables['params']
  logits, aux = jax.eval_shape(model.apply, variables, images)
  assert logits.shape == (2, 10)
  assert aux is None


def test_initializers_have_the_published_scales():
  model = factory.build(
    resolved_config('inception_v3', 'small', aux_head=True), 10
  )

  @jax.jit  # of the whole network, XLA keeps the three kernels
  def kernels(key):
    params = model.init(key, jnp.zeros((1, 16, 16, 3)))['params']
    return (
      params['mixed_5b']['branch2_1']['conv']['kernel'],  # 3×3×64
      params['aux']['conv_1']['conv']['kernel'],
      params['aux']['head']['dense']['kernel'],
    )

  stds = [kernel.std() for kernel in kernels(jax.random.key(0))]
  np.testing.assert_allclose(stds[0], (2 / (9 * 64)) ** 0.5, rtol=0.02)
  np.testing.assert_allclose(stds[1:], (0.01, 0.001), rtol=0.15)
