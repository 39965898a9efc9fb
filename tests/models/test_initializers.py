"""`model.kernel_init` against the formulas of PyTorch and MindSpore."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.models import blocks
from inception_jax.models import factory
from inception_jax.models import network
from inception_jax.models import specs
from inception_jax.models.layers import LayerOptions
from tests.support.networks import resolved_config

# torch.nn.init.kaiming_uniform_(a=√5): √(6 / ((1 + a²) fan-in)); mindspore's
# XavierUniform: √(6 / (fan-in + fan-out)).
BOUNDS = {
  'pytorch': lambda fan_in, fan_out: math.sqrt(6 / (6 * fan_in)),
  'xavier_uniform': lambda fan_in, fan_out: math.sqrt(6 / (fan_in + fan_out)),
}


def initial(kernel_init, channels, spec=None):
  """Returns the initial parameters of a stage, or of the auxiliary head."""
  options = LayerOptions(kernel_init=kernel_init)
  if spec:
    module = blocks.stage(spec, options, 'stage')
  else:
    module = network.AuxHead(100, options)
  grid = jnp.zeros((1, 17, 17, channels))
  return module.init(jax.random.key(0), grid, False)['params']


def assert_uniform(values, bound):
  assert np.abs(values).max() <= bound
  np.testing.assert_allclose(values.std(), bound / math.sqrt(3), rtol=0.05)
  assert abs(values.mean()) < 0.2 * bound


@pytest.mark.parametrize('kernel_init', BOUNDS)
def test_every_kernel_is_uniform_within_the_frameworks_bound(kernel_init):
  aux = initial(kernel_init, 64)
  for layer in (
    initial(kernel_init, 32, specs.conv(64, 3))['conv'],
    initial(kernel_init, 32, specs.conv(64, 1, 7))['conv'],
    aux['conv_0']['conv'],
    aux['conv_1']['conv'],
    aux['head']['dense'],
  ):
    *window, inputs, outputs = layer['kernel'].shape
    fans = math.prod(window) * inputs, math.prod(window) * outputs
    assert_uniform(layer['kernel'], BOUNDS[kernel_init](*fans))


def test_pytorch_biases_are_uniform_too():
  branches = specs.mixed(specs.conv(16), specs.conv(48))
  plain = initial('pytorch', 400, specs.Residual(branches, 0.1))
  projected = specs.ProjectedResidual(branches, 400, 0.1)
  projected = initial('pytorch', 300, projected)
  for layer, fan_in in (
    (plain['up'], 64),
    (projected['up'], 64),
    (projected['shortcut'], 300),
    (initial('pytorch', 64)['head']['dense'], 768),
  ):
    bound = 1 / math.sqrt(fan_in)
    assert np.abs(layer['bias']).max() <= bound
    assert np.abs(layer['bias']).max() > 0.9 * bound


@pytest.mark.parametrize('kernel_init', ['he_normal', 'xavier_uniform'])
def test_other_biases_are_zero(kernel_init):
  block = specs.Residual(specs.mixed(specs.conv(16)), 0.1)
  assert not initial(kernel_init, 64, block)['up']['bias'].any()
  assert not initial(kernel_init, 64)['head']['dense']['bias'].any()


def test_config_selects_the_initializer():
  config = resolved_config('inception_v3', kernel_init='pytorch')
  assert factory.build(config, 10).options.kernel_init == 'pytorch'
  assert factory.check(config) == []
  config.model.kernel_init = 'lecun'
  (fault,) = factory.check(config)
  assert 'he_normal, xavier_uniform, pytorch' in fault
