"""The networks against the published tables and parameter counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
import inception_jax
from inception_jax.models import blocks
from inception_jax.models import factory
from inception_jax.models import layers
from inception_jax.models import specs
from inception_jax.training import train_state


def config_of(name, stem='', **model):
  config = default.get_config()
  config.model.name = name
  config.model.stem = stem
  config.model.update(model)
  return factory.resolve(config)


def shapes(config, num_classes, size=0):
  size = size or config.data.image_size
  model = factory.build(config, num_classes)
  images = jnp.zeros((1, size, size, 3))
  return jax.eval_shape(model.init, jax.random.key(0), images)


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
    ('cifar_inception_v3', False, 10, 22_133_738, None),
    ('cifar_inception_v3', False, 100, 22_318_148, None),
    ('cifar_inception_v4', False, 100, 41_296_516, None),
    ('cifar_inception_resnet_v2', False, 10, 65_257_662, None),
    ('cifar_inception_resnet_v2', False, 100, 65_442_072, None),
  ],
)
def test_parameter_counts(name, aux_head, num_classes, trainable, statistics):
  variables = shapes(config_of(name, aux_head=aux_head), num_classes)
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
def test_grids(name, stem, size, expected):
  model = factory.build(config_of(name, stem), 10)
  images = jnp.zeros((2, size, size, 3))
  _, seen = jax.eval_shape(
    lambda: model.init_with_output(
      jax.random.key(0), images, capture_intermediates=True
    )
  )
  for stage, (grid, channels) in expected.items():
    (output,) = seen['intermediates'][stage]['__call__']
    assert output.shape == (2, grid, grid, channels), stage


@pytest.mark.parametrize(
  'name', ['inception_v3', 'inception_v4', 'inception_resnet_v2']
)
@pytest.mark.parametrize('stem', ['imagenet', 'small'])
def test_smallest_image_is_the_smallest(name, stem):
  config = config_of(name, stem, aux_head=True)
  least = factory.smallest_image(config)
  assert least == {'imagenet': 75, 'small': 9}[stem]
  kernels = jax.tree.leaves(shapes(config, 10, least)['params'])
  assert all(kernel.size for kernel in kernels)
  config.data.image_size = least
  assert factory.check(config) == []
  config.data.image_size = least - 1
  (fault,) = factory.check(config)
  assert f'needs at least {least}' in fault


def test_width_rounds_channels_to_multiples_of_eight():
  params = shapes(config_of('inception_v3', width=0.3), 10)['params']
  # 0.3 × 32 = 9.6, × 80 = 24, × 192 = 57.6
  assert params['conv_1a']['conv']['kernel'].shape == (3, 3, 3, 8)
  assert params['conv_3b']['conv']['kernel'].shape[-1] == 24
  assert params['conv_4a']['conv']['kernel'].shape[-1] == 56
  thin = shapes(config_of('inception_v4', width=0.01), 10)['params']
  assert thin['conv_1a']['conv']['kernel'].shape[-1] == 8


def apply(config, variables, images, **kwargs):
  model = factory.build(config, 10)
  return jax.jit(lambda v, x: model.apply(v, x, **kwargs))(variables, images)


def test_config_reaches_batchnorm_and_dropout(tiny):
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
  (without, _), _ = apply(tiny, variables, images, **train)
  assert not np.allclose(logits, without)

  # The old statistic is 0, so the new one scales with 1 − momentum.
  mean = updates['batch_stats']['conv_1a']['bn']['mean']
  tiny.model.bn_momentum = 0.6
  _, faster = apply(tiny, variables, images, **train)
  np.testing.assert_allclose(
    faster['batch_stats']['conv_1a']['bn']['mean'], 4 * mean, rtol=1e-4
  )

  tiny.model.bn_epsilon = 3.0
  (damped, _), _ = apply(tiny, variables, images, **train)
  assert not np.allclose(damped, without, rtol=1e-2)


def test_evaluation_has_no_auxiliary_logits(tiny):
  images = jnp.ones((2, 16, 16, 3))
  model = factory.build(tiny, 10)
  variables = jax.eval_shape(model.init, jax.random.key(0), images)
  assert 'aux' in variables['params']
  logits, aux = jax.eval_shape(model.apply, variables, images)
  assert logits.shape == (2, 10)
  assert aux is None


def test_features_are_what_the_head_reads(tiny):
  images = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
  model = factory.build(tiny, 10)
  variables = jax.jit(model.init)(jax.random.key(0), images)
  seen = jax.jit(inception_jax.features, static_argnums=0)(
    model, variables, images
  )
  stages = [name for name, _ in model.table]
  assert seen.keys() == {*stages, 'pooled', 'logits'}
  assert seen['mixed_2a'].shape == (2, 7, 7, 32)
  np.testing.assert_allclose(
    seen['pooled'], seen['mixed_3a'].mean((1, 2)), rtol=1e-6
  )
  dense = variables['params']['head']['dense']
  np.testing.assert_allclose(
    seen['logits'],
    seen['pooled'] @ dense['kernel'] + dense['bias'],
    rtol=1e-5,
    atol=1e-5,
  )
  logits, _ = model.apply(variables, images)
  np.testing.assert_allclose(seen['logits'], logits, rtol=1e-5, atol=1e-5)


def test_average_pools_leave_the_padding_out():
  # On a constant image, counting the zeros of the padding would show.
  ones = jnp.ones((1, 5, 5, 2))
  pool = blocks.stage(specs.AVG_POOL, layers.LayerOptions(), 'pool')
  np.testing.assert_allclose(pool(ones, False), ones, rtol=1e-6)


def test_bfloat16_computes_in_bfloat16_and_keeps_float32(tiny):
  images = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
  model = factory.build(tiny, 10)
  variables = jax.jit(model.init)(jax.random.key(0), images)
  exact, _ = apply(tiny, variables, images)
  tiny.precision = 'bfloat16'
  half = factory.build(tiny, 10)
  jaxpr = str(jax.make_jaxpr(half.apply)(variables, images))
  assert 'bf16' in jaxpr
  rounded, _ = apply(tiny, variables, images)
  assert rounded.dtype == jnp.float32
  assert 0 < np.abs(rounded - exact).max() < 0.1
  dtypes = {
    x.dtype
    for x in jax.tree.leaves(
      jax.eval_shape(half.init, jax.random.key(0), images)
    )
  }
  assert dtypes == {jnp.dtype('float32')}


def test_a_max_pools_gradient_is_summed_in_float32():
  pool = blocks.stage(specs.MAX_POOL, layers.LayerOptions(), 'pool')
  image = jnp.zeros((1, 3, 3, 1), jnp.float16).at[0, 1, 1, 0].set(1)
  pooled, pull = jax.vjp(lambda x: pool(x, True), image)
  assert pooled.dtype == jnp.float16
  # Each of the nine windows has the middle as its maximum, and 2049 is no
  # number of float16.
  (gradient,) = pull(jnp.ones_like(pooled).at[0, 0, 0, 0].set(2048))
  assert gradient[0, 1, 1, 0] == 2056
  assert jnp.count_nonzero(gradient) == 1


def test_convolutions_of_one_input_are_one():
  branches = (
    (specs.conv(8),),
    (specs.conv(16), specs.conv(8, 3)),
    (specs.AVG_POOL, specs.conv(24)),
    (specs.conv(8, 3),),
    (specs.MAX_POOL, specs.conv(8)),
  )
  options = layers.LayerOptions()
  block = blocks.stage(specs.Mixed(branches), options, 'block')
  x = jax.random.normal(jax.random.key(0), (2, 5, 5, 4))
  variables = block.init(jax.random.key(1), x, True)
  forward = jax.jit(block.apply, static_argnames=('train', 'mutable'))
  inputs = {'train': True, 'mutable': ('batch_stats',)}
  y, updated = forward(variables, x, **inputs)
  traced = forward.trace(variables, x, **inputs)
  # On CPUs some are matrix products.
  text = traced.lower(lowering_platforms=('tpu',)).as_text()
  # Three of the six read x, and are 1×1 or become so.
  assert text.count('stablehlo.convolution') == 4

  outputs, stats = [], {}
  for i, branch in enumerate(branches):
    apart = x
    for j, spec in enumerate(branch):
      name = f'branch{i}_{j}'
      layer = blocks.stage(spec, options, name)
      if isinstance(spec, specs.Pool):
        apart = layer(apart, True)
        continue
      own = {kind: tree[name] for kind, tree in variables.items()}
      apart, update = layer.apply(own, apart, True, mutable=['batch_stats'])
      stats[name] = update['batch_stats']
    outputs.append(apart)
  close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
  close(y, jnp.concatenate(outputs, axis=-1))
  jax.tree.map(close, dict(updated['batch_stats']), stats)


@pytest.mark.parametrize('relu', [True, False])
def test_residual_blocks_scale_then_add_then_cut(relu):
  spec = specs.Residual(specs.mixed(specs.conv(8)), scale=0.3, relu=relu)
  block = blocks.stage(spec, layers.LayerOptions(), 'block')
  x = jax.random.normal(jax.random.key(0), (2, 3, 3, 4))
  variables = block.init(jax.random.key(1), x, False)
  up = variables['params']['up']
  up['bias'] = jnp.arange(4.0)
  branch = blocks.stage(specs.conv(8), layers.LayerOptions(), 'conv')
  y = branch.apply(
    jax.tree.map(
      lambda v: v,
      {kind: tree['branches']['branch0_0'] for kind, tree in variables.items()},
    ),
    x,
    False,
  )
  expected = x + 0.3 * (y @ up['kernel'][0, 0] + up['bias'])
  expected = np.maximum(expected, 0) if relu else expected
  np.testing.assert_allclose(
    block.apply(variables, x, False), expected, rtol=1e-5, atol=1e-5
  )


def test_initialisers():
  model = factory.build(config_of('inception_v3', 'small', aux_head=True), 10)
  params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
  params = params['params']
  kernel = params['mixed_5b']['branch2_1']['conv']['kernel']  # 3×3×64
  np.testing.assert_allclose(kernel.std(), (2 / (9 * 64)) ** 0.5, rtol=0.02)
  np.testing.assert_allclose(
    params['aux']['conv_1']['conv']['kernel'].std(), 0.01, rtol=0.15
  )
  np.testing.assert_allclose(
    params['aux']['head']['dense']['kernel'].std(), 0.001, rtol=0.15
  )
