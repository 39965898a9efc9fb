"""tools.compile: exchanges, FLOPs, batches, chips, and what it refuses."""

import dataclasses
import importlib
import json
import math

import jax
import numpy as np
import pytest

from benchmarks import compile
from benchmarks.peers import plain_flax
from inception_jax import trees
from inception_jax.aot import chips
from inception_jax.aot import compile_step
from inception_jax.aot import hlo_costs
from inception_jax.aot import largest_batch
from inception_jax.aot.hlo_text import Text
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.models import factory
from inception_jax.models.kernels import convolution
from inception_jax.models.kernels import pooling
from inception_jax.training import train_state
from tests.support.commands import tool
from tests.system import compile_check


@pytest.fixture(scope='module')
def exchanged():
  """What eight devices exchange, by how BatchNorm works; and the parameters."""
  from tests.conftest import tiny_config

  config, found = tiny_config(), {}
  for config.batch_norm in ('global', 'replica'):
    step = compile_step.compiled(config, jax.devices(), 'train')
    assert (step.devices, step.images) == (8, config.batch_size)
    program = Text(step.program.as_text())
    found[config.batch_norm] = hlo_costs.collectives(program)
  model = factory.build(config, 1000)
  shapes = jax.eval_shape(
    lambda: model.init(jax.random.key(0), jax.numpy.zeros((1, 16, 16, 3)))
  )
  return found, train_state.num_params(shapes['params'])


def test_replicas_exchange_gradients_statistics_and_metrics(exchanged):
  found, parameters = exchanged
  replica, whole = found['replica'], found['global']
  assert list(replica) == list(whole) == ['all-reduce']
  assert 1 <= replica['all-reduce']['count'] <= compile_check.MOST_REDUCTIONS
  # Two for each of the convolutions that BatchNorm follows, nearly.
  assert whole['all-reduce']['count'] > 10
  for reductions in (replica, whole):
    assert 1 < reductions['all-reduce']['bytes'] / (4 * parameters) < 1.05


def test_flops_are_the_convolutions(tiny, monkeypatch):
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
    if path[-1] == 'conv' and path[0] != 'aux':  # which a forward pass leaves
      output = shapes['intermediates']
      for part in path:
        output = output[part]
      (output,) = output['__call__']
      multiplied += kernel.size * math.prod(output.shape[1:3])
  forward = compile_step.flops_per_image(tiny, 'eval')
  # A tap on the padding counts here and not there; all else counts only there.
  assert 0.8 < forward / (2 * multiplied) < 1.5
  tiny.model.aux_head = False
  trained = compile_step.flops_per_image(tiny, 'train')
  assert 2 < trained / forward < 6
  tiny.gradient_accumulation = 2
  assert compile_step.flops_per_image(tiny, 'train') == trained
  # None of what CPUs alone compute otherwise.
  plain = lambda cpu, default, how, *arrays: default(*arrays, how=how)
  for module in (convolution, pooling):
    monkeypatch.setattr(module, 'by_platform', plain)
  assert compile_step.flops_per_image(tiny, 'train') == trained


def test_the_largest_batch_fills_the_memory(tiny):
  device = jax.devices()[:1]
  tiny.batch_size = 64
  first = compile_step.compiled(tiny, device, 'eval')
  chip = dataclasses.replace(
    chips.CHIPS['v5e'], hbm_bytes=10 * first.peak_bytes
  )
  found = largest_batch.largest(tiny, device, 'eval', chip, first)
  tiny.batch_size = found
  peak = compile_step.compiled(tiny, device, 'eval').peak_bytes
  assert 0.9 < peak / chip.hbm_bytes < 1
  assert found > 9 * 64  # arguments do not grow


@pytest.mark.parametrize(
  'says, times',
  [
    (
      'RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required '
      'for HLO temporaries (31.50G) exceeds available HBM (15.75G).\n\nMore',
      2.0,
    ),
    ('Ran out of memory. Used 1.5G of 768.0M hbm. Exceeded', 2.0),
    ('RESOURCE_EXHAUSTED', 1.0),
  ],
)
def test_a_smaller_batch_is_named(tiny, says, times):
  error = compile_step.TooLarge(says)
  assert error.times == times
  assert '\n' not in str(error)
  tiny.batch_size, tiny.gradient_accumulation = 1024, 2
  batch = largest_batch.smaller(tiny, 8, error.times)
  assert batch % 16 == 0
  assert batch == 512 if times > 1 else 900 < batch < 1024


def test_published_rates_are_what_the_pods_reduce():
  # docs.cloud.google.com: 51.2 TB/s of 256 v5e, 102.4 of v6e, 1.1 PB/s of v4.
  pods = {'v5e': 51.2e12, 'v6e': 102.4e12, 'v4': 1.1e15}
  for kind, rate in pods.items():
    chip = chips.CHIPS[kind]
    ours = chip.pod * 2 * chip.axes * chip.link_rate
    assert ours == pytest.approx(rate, rel=0.01)


def test_an_exchange_is_as_fast_as_its_links():
  v5e, v4 = chips.CHIPS['v5e'], chips.CHIPS['v4']
  reduced = {'all-reduce': {'count': 3, 'bytes': 100_000_000}}
  seconds = lambda *args: pytest.approx(chips.exchange_seconds(*args), rel=1e-6)
  # A ring has two links an axis, a line one; the farthest chip is halfway.
  ring = 2 * 255 / 256 * 1e8 / (4 * 50e9) + 3 * 2 * (8 + 8) * 1e-6
  assert ring == seconds(v5e, (16, 16), reduced)
  mixed = 2 * 127 / 128 * 1e8 / (3 * 50e9) + 3 * 2 * (7 + 8) * 1e-6
  assert mixed == seconds(v5e, (8, 16), reduced)
  gathered = {'all-gather': {'count': 1, 'bytes': 100_000_000}}
  line = 7 / 8 * 1e8 / (2 * 50e9) + 2 * (1 + 3) * 1e-6
  assert line == seconds(v5e, (2, 4), gathered)
  cube = 2 * 63 / 64 * 1e8 / (6 * 45e9) + 3 * 2 * 6 * 1e-6
  assert cube == seconds(v4, (4, 4, 4), reduced)
  apart = 2 * 15 / 16 * 1e8 / (3 * 45e9) + 3 * 2 * 5 * 1e-6
  assert apart == seconds(v4, (2, 2, 4), reduced)
  assert chips.exchange_seconds(v5e, (1, 1), reduced) == 0


def test_efficiency_is_of_8_64_and_256_chips():
  reduced = {'all-reduce': {'count': 1, 'bytes': 100_000_000}}
  for kind, shape in (('v5e', (16, 16)), ('v5p', (4, 8, 8))):
    chip = chips.CHIPS[kind]
    found = chips.efficiency(chip, 0.1, reduced)
    assert list(found) == ['8', '64', '256']
    exchange = chips.exchange_seconds(chip, shape, reduced)
    assert found['256'] == pytest.approx(0.1 / (0.1 + exchange), abs=1e-4)
  assert chips.efficiency(chip, 0.1, {}) == {'8': 1, '64': 1, '256': 1}


@pytest.mark.parametrize(
  'topology, fault',
  [
    ('v5e', 'expected KIND:SHAPE'),
    ('v9:2x4', 'KIND is one of v4, v5e, v5p, v6e'),
    ('v5e:2x2x2', 'has 2 dimensions and at most 256 chips, as 2x4'),
    ('v5e:32x16', 'at most 256'),
    ('v4:4x4', 'has 3 dimensions'),
    ('v6e:0x4', 'has 2 dimensions'),
  ],
)
def test_topologies_that_cannot_be_compiled_for(tiny, topology, fault):
  tiny.model.width = -1.0
  with pytest.raises(UserError) as error:
    compile_step.checked(tiny, topology, 'train')
  assert fault in error.value.faults[0]
  assert 'model.width' in error.value.faults[1]
  # The tests' environment has no libtpu.
  assert 'not installed: `make .venv-tpu/ready`' in error.value.faults[2]
  assert len(error.value.faults) == 3


def test_a_batch_that_does_not_divide(tiny):
  tiny.batch_size = 100
  faults = {}
  for step in ('train', 'eval'):
    with pytest.raises(UserError) as error:
      compile_step.checked(tiny, 'v5e:2x4', step)
    faults[step] = error.value.faults[:-1]
  assert faults['train'] == (
    'batch_size=100 does not divide over 8 devices; nearest that do: 96, 104',
  )
  # An evaluation fills its batches up.
  assert faults['eval'] == ()
  step = compile_step.compiled(tiny, jax.devices(), 'eval')
  assert step.images == 104


def test_the_command_lists_every_fault():
  done = tool(
    'compile',
    '--config=configs/digits.py',
    '--topology=v5e:2',
    '--config.precision=float8',
  )
  assert done.returncode == 2
  first, second, third = done.stderr.splitlines()[-3:]
  assert first.startswith('error: --topology=v5e:2: a slice of v5e has')
  assert second.startswith("error: precision='float8'")
  assert third.startswith('error: libtpu')
  assert not done.stdout


def test_the_check_fails_what_does_not_fit_or_exchanges_more():
  found = {
    'hbm_share': 0.99,
    'batch_norm': 'replica',
    'collectives': {'all-reduce': {'count': 3, 'bytes': 0}},
  }
  assert compile_check.faults(found) == []
  assert compile_check.faults({**found, 'collectives': {}}) == []
  (fault,) = compile_check.faults({**found, 'hbm_share': 1.01})
  assert 'needs 101% of a chip' in fault
  found['collectives'] = {'all-reduce': {'count': 4, 'bytes': 0}}
  (fault,) = compile_check.faults(found)
  assert '4 all-reduces' in fault
  assert compile_check.faults({**found, 'batch_norm': 'global'}) == []
  found['collectives'] = {'all-gather': {'count': 2, 'bytes': 3e6}}
  for found['batch_norm'] in ('global', 'replica'):
    (fault,) = compile_check.faults(found)
    assert '2 × all-gather of 3.0 MB' in fault


def test_the_ledger_has_imagenets_recipes():
  assert 'inception_v4' in compile_check.imagenet()
  assert 'mindspore_inception_v4_cpu' not in compile_check.imagenet()
  rows = compile_check.newest()
  assert {compile_check.recipe_of(row) for row in rows} <= set(
    compile_check.imagenet()
  )
  for row in rows:
    cells = compile_check.line(row).strip('| ').split(' | ')
    assert len(cells) == len(compile_check._COLUMNS)
    found = compile_check.faults(
      {
        'hbm_share': float(row['hbm_share']),
        'batch_norm': row['batch_norm'],
        'collectives': json.loads(row['collectives']),
      }
    )
    assert not found


@pytest.mark.parametrize(
  'name', ['inception_v3', 'inception_v4', 'inception_resnet_v2']
)
def test_plain_flax_has_the_same_parameters(name):
  config = importlib.import_module(f'configs.{name}').get_config()
  config = factory.resolve(config)
  config.model.aux_head = True
  images = jax.numpy.zeros((1, 299, 299, 3))
  keys = {'params': jax.random.key(0), 'dropout': jax.random.key(0)}
  counts = [
    train_state.num_params(jax.eval_shape(init, keys, images)['params'])
    for init in (
      factory.build(config, 1000).init,
      plain_flax.network(config, 1000).init,
    )
  ]
  assert counts[0] == counts[1]


def test_plain_flax_trains(tiny):
  tiny.schedule.learning_rate, tiny.model.dropout_rate = 1e-3, 0.0
  mesh = sharding.make_mesh(jax.devices()[:1])
  init, step = plain_flax.training(tiny, mesh, 10)
  random = np.random.default_rng(0)
  batch = {
    'image': random.integers(256, size=(16, 16, 16, 3), dtype=np.uint8),
    'label': np.arange(16, dtype=np.int32) % 10,
  }
  state, losses = init(), []
  for _ in range(20):
    state, loss = step(state, batch)
    losses.append(loss)
  assert int(state[0]) == 20
  # Of two classifiers, the second of which counts less.
  assert losses[0] == pytest.approx(1.4 * math.log(10), rel=0.2)
  assert losses[-1] < 0.7 * losses[0]


def test_a_comparison_of_other_networks_is_refused():
  done = tool(
    'benchmark',
    '--what=compile',
    '--topology=v9:2x4',
    '--config=configs/mindspore_inception_v4.py',
    '--config.model.width=0.5',
    '--config.precision=tensorfloat32',
  )
  assert done.returncode == 2
  assert 'Traceback' not in done.stderr
  for fault in (
    'model.width=0.5: expected 1.0, beside plain flax',
    'model.head_batch_norm=True: expected False, beside plain flax',
    "precision='tensorfloat32': expected float32 or bfloat16 or float16",
    'v9',
  ):
    assert fault in done.stderr


def test_a_step_that_does_not_fit_beside_plain_flax(tiny, monkeypatch):
  def too_large(*args):
    raise compile_step.TooLarge('Used 20.52G of 15.75G hbm')

  monkeypatch.setattr(chips, 'missing', lambda: [])
  monkeypatch.setattr(chips, 'devices', lambda topology: jax.devices())
  monkeypatch.setattr(compile_step, 'finished', too_large)
  with pytest.raises(UserError, match='batch_size=16 does not fit in the mem'):
    compile.measure(tiny, 'v5e:2x4')


def test_both_sides_are_compiled_and_compared(tiny, monkeypatch):
  monkeypatch.setattr(chips, 'missing', lambda: [])
  monkeypatch.setattr(chips, 'devices', lambda topology: jax.devices())
  monkeypatch.setattr(compile, 'version', lambda name: name)
  figures = compile.measure(tiny, 'v5e:2x4')
  assert figures['times_peak_bytes'] == pytest.approx(
    figures['ours_peak_bytes'] / figures['theirs_peak_bytes'], abs=1e-3
  )
  assert figures['times_compile_seconds'] > 0
