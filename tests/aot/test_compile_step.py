"""Compilation ahead of time: collectives, FLOPs and faults."""

import math

import jax
from jax._src.interpreters import mlir
from jax.extend.core import Primitive
import pytest

from inception_jax import trees
from inception_jax.aot import compile_step
from inception_jax.aot import hlo_costs
from inception_jax.aot.hlo_text import Program
from inception_jax.errors import UserError
from inception_jax.models import factory
from inception_jax.models.kernels import convolution
from inception_jax.models.kernels import pooling
from inception_jax.training import train_state
from tests.system import compile_check


@pytest.fixture(scope='module')
def collectives():
  """Collectives on eight devices by batch_norm, and the parameter count."""
  from tests.support.tiny import tiny_config

  config, totals = tiny_config(), {}
  for config.batch_norm in ('global', 'replica'):
    step = compile_step.compile_config(config, jax.devices(), 'train')
    assert (step.num_devices, step.batch_size) == (8, config.batch_size)
    program = Program(step.executable.as_text())
    totals[config.batch_norm] = hlo_costs.collectives(program)
  model = factory.build(config, 1000)
  shapes = jax.eval_shape(
    lambda: model.init(jax.random.key(0), jax.numpy.zeros((1, 16, 16, 3)))
  )
  return totals, train_state.num_params(shapes['params'])


def test_all_reduces_carry_gradients_statistics_and_metrics(collectives):
  totals, parameters = collectives
  replica, whole = totals['replica'], totals['global']
  assert list(replica) == list(whole) == ['all-reduce']
  assert 1 <= replica['all-reduce']['count'] <= compile_check.MAX_ALL_REDUCES
  # Nearly two for each convolution with BatchNorm.
  assert whole['all-reduce']['count'] > 10
  for total in (replica, whole):
    assert 1 < total['all-reduce']['bytes'] / (4 * parameters) < 1.05


@pytest.mark.slow
def test_flops_are_those_of_the_convolutions(tiny, monkeypatch):
  model = factory.build(tiny, 1000)
  images = jax.numpy.zeros((1, 16, 16, 3))
  is_conv = lambda module, _: module.name == 'conv'
  shapes = jax.eval_shape(
    lambda: model.init_with_output(
      jax.random.key(0), images, capture_intermediates=is_conv
    )
  )[1]
  kernels = trees.named_leaves(shapes['params'])
  multiplied = 0
  for name, kernel in kernels.items():
    path = name.removesuffix('/kernel').split('/')
    if path[-1] == 'conv' and path[0] != 'aux':  # not part of 'eval'
      output = shapes['intermediates']
      for part in path:
        output = output[part]
      (output,) = output['__call__']
      multiplied += kernel.size * math.prod(output.shape[1:3])
  forward = compile_step.flops_per_image(tiny, 'eval')
  # XLA leaves out multiplications by padding, but counts other operations.
  assert 0.8 < forward / (2 * multiplied) < 1.5
  tiny.model.aux_head = False
  trained = compile_step.flops_per_image(tiny, 'train')
  assert 2 < trained / forward < 6
  tiny.gradient_accumulation = 2
  assert compile_step.flops_per_image(tiny, 'train') == trained
  # The kernels for CPUs do not change the count.
  lowerings = mlir._platform_specific_lowerings['cpu']
  for module in (convolution, pooling):
    for kernel in vars(module).values():
      if isinstance(kernel, Primitive):
        monkeypatch.delitem(lowerings, kernel, raising=False)
  assert compile_step.flops_per_image(tiny, 'train') == trained


@pytest.mark.parametrize(
  'topology, fault',
  [
    ('v5e', 'expected KIND:SHAPE'),
    ('v9:2x4', 'KIND is one of v4, v5e, v5p, v6e'),
    ('v5e:2x2x2', 'has 2 dimensions and at most 256 chips, for example 2x4'),
    ('v5e:32x16', 'at most 256'),
    ('v4:4x4', 'has 3 dimensions'),
    ('v6e:0x4', 'has 2 dimensions'),
  ],
)
def test_invalid_topology_is_reported_with_other_faults(tiny, topology, fault):
  tiny.model.width = -1.0
  with pytest.raises(UserError) as error:
    compile_step.resolve(tiny, topology, 'train')
  assert fault in error.value.faults[0]
  assert 'model.width' in error.value.faults[1]
  # The tests' environment has no libtpu.
  assert 'not installed: run `make .venv-tpu/ready`' in error.value.faults[2]
  assert len(error.value.faults) == 3


def test_batch_size_must_divide_only_in_training(tiny):
  tiny.batch_size = 100
  faults = {}
  for step in ('train', 'eval'):
    with pytest.raises(UserError) as error:
      compile_step.resolve(tiny, 'v5e:2x4', step)
    faults[step] = error.value.faults[:-1]
  assert faults['train'] == (
    'batch_size=100 does not divide over 8 devices; nearest that do: 96, 104',
  )
  # An evaluation pads its batches.
  assert faults['eval'] == ()
  step = compile_step.compile_config(tiny, jax.devices(), 'eval')
  assert step.batch_size == 104
