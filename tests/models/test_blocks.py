import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.models import blocks
from inception_jax.models import layers
from inception_jax.models import specs
from tests.support import timm_golden


@pytest.mark.slow
def test_pointwise_convolutions_of_one_input_are_merged():
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
  # Lowered for TPUs, since on CPUs some convolutions become matrix products.
  text = traced.lower(lowering_platforms=('tpu',)).as_text()
  # Three of the six convolutions are 1×1 ones of x, one of them once it is
  # swapped with its average pool.
  assert text.count('stablehlo.convolution') == 4

  outputs, stats = [], {}
  for i, branch in enumerate(branches):
    expected = x
    for j, spec in enumerate(branch):
      name = f'branch{i}_{j}'
      layer = blocks.stage(spec, options, name)
      if isinstance(spec, specs.Pool):
        expected = layer(expected, True)
        continue
      own = {kind: tree[name] for kind, tree in variables.items()}
      expected, update = layer.apply(
        own, expected, True, mutable=['batch_stats']
      )
      stats[name] = update['batch_stats']
    outputs.append(expected)
  close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
  close(y, jnp.concatenate(outputs, axis=-1))
  jax.tree.map(close, dict(updated['batch_stats']), stats)


@pytest.mark.parametrize('relu', [True, False])
def test_residual_blocks_scale_then_add_then_apply_relu(relu):
  spec = specs.Residual(specs.mixed(specs.conv(8)), scale=0.3, relu=relu)
  block = blocks.stage(spec, layers.LayerOptions(), 'block')
  x = jax.random.normal(jax.random.key(0), (2, 3, 3, 4))
  variables = block.init(jax.random.key(1), x, False)
  up = variables['params']['up']
  up['bias'] = jnp.arange(4.0)
  branch = blocks.stage(specs.conv(8), layers.LayerOptions(), 'conv')
  own = {
    kind: tree['branches']['branch0_0'] for kind, tree in variables.items()
  }
  y = branch.apply(own, x, False)
  expected = x + 0.3 * (y @ up['kernel'][0, 0] + up['bias'])
  expected = np.maximum(expected, 0) if relu else expected
  np.testing.assert_allclose(
    block.apply(variables, x, False), expected, rtol=1e-5, atol=1e-5
  )


@pytest.mark.parametrize(
  'spec',
  [
    specs.Residual(specs.mixed(specs.conv(8)), scale=0.3, relu=False),
    specs.ProjectedResidual(specs.mixed(specs.conv(8)), 8, scale=1.0),
  ],
)
def test_drop_path_scales_a_branch_per_image_as_timm_does(spec):
  # Without BatchNorm, whose statistics depend on the dropped branches.
  options = layers.LayerOptions(folded=True)
  x = jax.random.normal(jax.random.key(0), (64, 3, 3, 4))
  always = blocks.stage(spec, options, 'block')
  block = blocks.stage(spec, options, 'block', 0.2)
  variables = always.init(jax.random.key(1), x, False)
  if isinstance(spec, specs.ProjectedResidual):
    variables['params']['shortcut']['bias'] += 100.0  # above the ReLU's 0
  whole = always.apply(variables, x, True)
  np.testing.assert_array_equal(block.apply(variables, x, False), whole)
  rngs = {'dropout': jax.random.key(2)}
  dropped = block.apply(variables, x, True, rngs=rngs)
  without = jax.tree.map(lambda p: p, variables)
  without['params']['up'] = jax.tree.map(
    jnp.zeros_like, variables['params']['up']
  )
  shortcut = always.apply(without, x, True)
  found = set()
  for image, all_of_it, base in zip(dropped, whole, shortcut, strict=True):
    # The projection of 100 leaves four decimals.
    (factor,) = (
      factor
      for factor in timm_golden.part('drop_path')['factors_at_0.2']
      if np.allclose(image, base + factor * (all_of_it - base), atol=1e-4)
    )
    found.add(factor)
  assert len(found) == 2


def test_unknown_table_entries_are_rejected():
  with pytest.raises(TypeError, match='unknown stage: 3'):
    blocks.stage(3, layers.LayerOptions(), 'block')
