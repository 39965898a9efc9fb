"""The training step."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import jmp
import numpy as np
import pytest

from inception_jax.distributed import sharding
from inception_jax.models import architectures
from inception_jax.models import layers
from inception_jax.models import precision
from inception_jax.models import specs
from inception_jax.models.card import Card
from inception_jax.training import train_step
from tests.support.train_steps import assert_close
from tests.support.train_steps import assert_trees_close
from tests.support.train_steps import make_steps
from tests.support.train_steps import make_trainer
from tests.support.train_steps import train_five_steps


def test_ema_decay_ramps_up():
  at = lambda t: float(train_step.ema_decay(0.99, jnp.asarray(t)))
  np.testing.assert_allclose([at(0), at(9), at(10**6)], [0.1, 10 / 19, 0.99])


@pytest.mark.slow
def test_one_and_eight_devices_give_the_same_training(
  tiny, one_device, eight_devices, monkeypatch
):
  # A smooth activation: rounding may move an input of a ReLU to the other side
  # of 0, and the difference grows from step to step.
  monkeypatch.setattr(nn, 'relu', nn.softplus)
  tiny.data.rotate, tiny.data.policy = 15.0, 'autoaugment'
  tiny.data.erase, tiny.data.mixup, tiny.data.cutmix = 0.25, 0.2, 1.0
  one, state_one = train_five_steps(tiny, one_device)
  eight, state_eight = train_five_steps(tiny, eight_devices)
  assert len(set(one)) == 5
  np.testing.assert_allclose(one, eight, atol=1e-5, rtol=0)
  for a, b in zip(*map(jax.tree.leaves, (state_one, state_eight)), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.slow
def test_devices_differ_by_rounding_alone(
  tiny, one_device, eight_devices, monkeypatch
):
  # In float32, sums of another order move inputs of ReLUs to the other side of
  # 0, and losses drift apart: the test above has no ReLU, this one has float64.
  policy = jmp.get_policy('params=float64,compute=float64,output=float64')
  monkeypatch.setattr(precision, 'policy', lambda _: policy)
  monkeypatch.setattr(layers, '_FLOAT32', policy)
  with jax.enable_x64(True):
    one, state_one = train_five_steps(tiny, one_device)
    eight, state_eight = train_five_steps(tiny, eight_devices)
  assert len(set(one)) == 5
  np.testing.assert_allclose(one, eight, rtol=1e-12)
  assert_trees_close(state_one, state_eight, atol=1e-10)


@pytest.mark.slow
def test_auxiliary_loss_is_weighted(tiny, one_device):
  tiny.model.dropout_rate = 0.0
  gradients = {}
  for weight in (0.0, 0.4):
    tiny.aux_loss_weight = weight
    tiny.weight_decay = 0.0
    state, step, batches = make_steps(tiny, one_device)
    after, _ = step(state, batches[0])
    gradients[weight] = jax.tree.map(
      lambda a, b: a - b, after.params, state.params
    )
  assert not np.any(gradients[0.0]['aux']['conv_0']['conv']['kernel'])
  assert np.any(gradients[0.4]['aux']['conv_0']['conv']['kernel'])
  np.testing.assert_array_equal(
    gradients[0.0]['head']['dense']['kernel'],
    gradients[0.4]['head']['dense']['kernel'],
  )


def test_ema_equals_tensorflows(tiniest, one_device):
  import tensorflow as tf

  tiniest.ema_decay = 0.2  # greater than the first two values of the ramp
  state, step, batches = make_steps(tiniest, one_device)
  averaged = lambda s: jax.tree.leaves((s.params, s.batch_stats))
  variables = [tf.Variable(leaf) for leaf in averaged(state)]
  count = tf.Variable(0)
  theirs = tf.train.ExponentialMovingAverage(tiniest.ema_decay, count)
  theirs.apply(variables)
  for i in range(4):
    count.assign(i)
    state, _ = step(state, batches[i % len(batches)])
    for variable, leaf in zip(variables, averaged(state), strict=True):
      variable.assign(leaf)
    theirs.apply(variables)
  ours = jax.tree.leaves((state.ema['params'], state.ema['batch_stats']))
  for ema, variable in zip(ours, variables, strict=True):
    assert_close(ema, theirs.average(variable))


@pytest.mark.slow
def test_randomness_depends_on_step_and_seed(tiniest, one_device):
  state, step, batches = make_steps(tiniest, one_device)
  first = step(state, batches[0])[1]['loss']
  assert first == step(state, batches[0])[1]['loss']
  later = state.replace(step=state.step + 1)
  assert first != step(later, batches[0])[1]['loss']
  tiniest.seed = 1
  _, other_step, _ = make_steps(tiniest, one_device)
  assert first != other_step(state, batches[0])[1]['loss']


@pytest.fixture
def plain(tiniest):
  """SGD without augmentation, dropout and moving average."""
  tiniest.model.dropout_rate, tiniest.ema_decay = 0.0, 0.0
  tiniest.data.color_jitter, tiniest.data.pad = (0.0,) * 4, 0
  tiniest.optimizer.name = 'sgd'
  return tiniest


@pytest.mark.slow
def test_accumulated_gradients_equal_those_of_the_batch(
  plain, one_device, eight_devices
):
  state, step, batches = make_steps(plain, one_device)
  # Every image twice, so that both parts have the statistics of the batch.
  twice = lambda batch: jax.tree.map(lambda x: jnp.repeat(x[:8], 2, 0), batch)
  whole, metrics = step(state, twice(batches[0]))
  plain.gradient_accumulation = 2
  for mesh in (one_device, eight_devices):
    state, step, batches = make_steps(plain, mesh)
    batch = jax.device_put(twice(batches[0]), sharding.batch(mesh))
    parts, again = step(state, batch)
    assert_trees_close(parts.params, whole.params, atol=1e-6)
    for key in ('loss', 'top1', 'count'):
      np.testing.assert_allclose(again[key], metrics[key], rtol=1e-6)
    # The moving statistics are updated twice: the old ones count m², not m.
    m = plain.model.bn_momentum
    for old, one, two in zip(
      *(
        jax.tree.leaves(jax.device_get(s.batch_stats))
        for s in (state, whole, parts)
      ),
      strict=True,
    ):
      statistic = (one - m * old) / (1 - m)
      expected = m * m * old + (1 - m * m) * statistic
      np.testing.assert_allclose(two, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_class_weights_on_any_devices_and_in_parts(
  plain, one_device, eight_devices
):
  weights = np.arange(10, dtype=np.float32) / 5
  twice = lambda batch: jax.tree.map(lambda x: jnp.repeat(x[:8], 2, 0), batch)
  plain.ema_decay = 0.0
  results = []
  for mesh, parts in ((one_device, 1), (eight_devices, 1), (eight_devices, 2)):
    plain.gradient_accumulation = parts
    state, step, batches = make_steps(plain, mesh, weights)
    batch = jax.device_put(twice(batches[0]), sharding.batch(mesh))
    results.append(step(state, batch))
  (whole, metrics), *others = results
  for state, again in others:
    assert_trees_close(state.params, whole.params, atol=1e-6)
    np.testing.assert_allclose(again['loss'], metrics['loss'], rtol=1e-6)
  plain.gradient_accumulation = 1
  state, step, batches = make_steps(plain, one_device)
  _, unweighted = step(state, twice(batches[0]))
  assert abs(unweighted['loss'] - metrics['loss']) > 0.01 * metrics['loss']


@pytest.mark.slow
def test_drop_path_is_the_same_on_any_devices_and_with_remat(
  plain, one_device, eight_devices
):
  plain.model.update(name='tiny_residual', drop_path_rate=0.5)
  losses, state = train_five_steps(plain, one_device)
  eight, state_eight = train_five_steps(plain, eight_devices)
  np.testing.assert_allclose(eight, losses, atol=1e-5)
  assert_trees_close(state_eight.params, state.params, atol=1e-5)
  plain.remat = True
  remat, _ = train_five_steps(plain, one_device)
  np.testing.assert_allclose(remat, losses, atol=1e-6)
  plain.model.drop_path_rate = 0.0
  assert train_five_steps(plain, one_device)[0] != losses


@pytest.mark.parametrize(
  'change', [{'batch_norm': 'replica'}, {'gradient_accumulation': 2}]
)
def test_drop_path_draws_anew_at_each_step(plain, eight_devices, change):
  plain.update(change)
  plain.model.update(name='tiny_residual', drop_path_rate=0.5)
  state, step, batches = make_steps(plain, eight_devices)
  loss = lambda state: float(step(state, batches[0])[1]['loss'])
  assert loss(state) == loss(state)
  assert loss(state) != loss(state.replace(step=state.step + 1))


@pytest.mark.slow
def test_remat_recomputes_no_convolution_and_keeps_the_result(
  tiny, one_device, eight_devices
):
  found = {}
  for tiny.remat in (False, True):
    for mesh in (one_device, eight_devices):
      state, step, batches = make_steps(tiny, mesh)
      found[tiny.remat, mesh.size] = step(state, batches[0])
  for size in (1, 8):
    assert_trees_close(
      *(found[remat, size] for remat in (False, True)), atol=1e-6
    )

  def count(remat, pattern):
    tiny.remat = remat
    # Lowered for GPUs, since XLA recomputes nothing on CPUs.
    lowered = make_trainer(tiny, eight_devices).lower(('cuda',)).as_text()
    return len(re.findall(pattern, lowered))

  assert count(True, 'optimization_barrier') > 0
  assert count(False, 'optimization_barrier') == 0
  for pattern, recomputed in (
    ('stablehlo.convolution', False),
    ('stablehlo.maximum', True),
    ('stablehlo.rsqrt', True),
  ):
    assert (count(True, pattern) > count(False, pattern)) == recomputed


@pytest.mark.slow
def test_remat_does_not_recompute_sums_of_residual_blocks(
  tiny, one_device, monkeypatch
):
  block = specs.Residual(specs.mixed(specs.conv(8), specs.conv(8)), 0.1)
  layers = ('conv_1a', specs.conv(24, 3)), ('block_1', block)
  network = specs.Architecture(
    stems={'small': layers}, body=(('block_2', block),), card=Card()
  )
  monkeypatch.setitem(architectures.ARCHITECTURES, 'residual', network)
  tiny.model.update(name='residual', aux_head=False)
  found = []
  for tiny.remat in (False, True):
    lowered = make_trainer(tiny, one_device).lower(('cuda',)).as_text()
    side = tiny.data.image_size
    block_type = f'tensor<{tiny.batch_size}x{side}x{side}x24xf32>'
    found.append(len(re.findall(f'stablehlo.add .* : {block_type}', lowered)))
  assert found[1] == found[0] + 1  # the additional one is a BatchNorm's


@pytest.mark.slow
def test_whether_float16_overflows_is_one_comparison(tiny, one_device):
  # XLA copies what it is computed from into each fusion that reads it.
  count = lambda: str(make_trainer(tiny, one_device).lower().as_text()).count(
    'stablehlo.and'
  )
  others = count()
  tiny.precision = 'float16'
  assert count() <= others + 2


def test_float16_overflows_are_skipped(plain, one_device):
  float32, step, batches = make_steps(plain, one_device)
  for batch in batches[:2]:
    float32, _ = step(float32, batch)
  plain.precision = 'float16'
  before, step, batches = make_steps(plain, one_device)
  scale = lambda state: float(state.loss_scale['scale'])
  assert scale(before) == 2**15
  large = jax.tree.map(lambda x: x, before.loss_scale)
  large['scale'] = jnp.float32(2.0**40)
  after, metrics = step(before.replace(loss_scale=large), batches[4])
  assert (metrics['skipped'], metrics['count'], scale(after)) == (1, 0, 2.0**39)
  assert int(after.step) == 1
  assert_trees_close(after.params, before.params, rtol=0)
  assert_trees_close(after.batch_stats, before.batch_stats, rtol=0)
  # Of the optimizer's state, only the schedule's step changes.
  changed = [
    (float(a), float(b))
    for a, b in zip(
      *map(jax.tree.leaves, (before.opt_state, after.opt_state)), strict=True
    )
    if not np.array_equal(a, b)
  ]
  assert changed == [(0, 1)]

  for batch in batches[:2]:
    before, metrics = step(before, batch)
    assert (metrics['skipped'], metrics['loss_scale']) == (0, 2**15)
  assert all(x.dtype != jnp.float16 for x in jax.tree.leaves(before))
  assert_trees_close(before.params, float32.params, atol=0.02)
  assert_trees_close(before.batch_stats, float32.batch_stats, atol=0.02)
