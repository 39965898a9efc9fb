"""The steps: loss, hits, sums, averages, and the same on any device count."""

import math
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from inception_jax.distributed import sharding
from inception_jax.models import architectures
from inception_jax.models import specs
from inception_jax.models.card import Card
from inception_jax.training import losses as losses_lib
from inception_jax.training import train_step
from inception_jax.training.trainer import Trainer


def close_to_largest(ours, theirs):
  """Within 1e-6 of the largest number."""
  theirs = np.asarray(theirs)
  atol = 1e-6 * np.abs(theirs).max()
  np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)


def test_smoothing_is_tensorflows():
  import tensorflow as tf

  logits = jax.random.normal(jax.random.key(0), (6, 5))
  labels = jnp.array([0, 1, 2, 3, 4, 0])
  theirs = tf.keras.losses.categorical_crossentropy(
    np.eye(5, dtype=np.float32)[labels],
    np.asarray(logits),
    from_logits=True,
    label_smoothing=0.1,
  )
  ours = losses_lib.cross_entropy(logits, jax.nn.one_hot(labels, 5), 0.1)
  close_to_largest(ours, theirs)


def test_binary_cross_entropy_is_tensorflows():
  import tensorflow as tf

  logits = jax.random.normal(jax.random.key(0), (6, 5))
  targets = jax.nn.softmax(jax.random.normal(jax.random.key(1), (6, 5)))
  # Keras smooths towards a half; here, as in timm, towards 1 / N.
  smoothed = 0.9 * targets + 0.1 / 5
  theirs = tf.keras.losses.binary_crossentropy(
    np.asarray(smoothed), np.asarray(logits), from_logits=True
  )
  ours = losses_lib.binary_cross_entropy(logits, targets, 0.1)
  close_to_largest(ours, theirs)


def test_ema_ramps_up():
  at = lambda t: float(train_step.ema_decay(0.99, jnp.asarray(t)))
  np.testing.assert_allclose([at(0), at(9), at(10**6)], [0.1, 10 / 19, 0.99])


def build(config, mesh):
  """(state, step, batches) of five training steps."""
  trainer = Trainer(config, mesh, 10, optax.constant_schedule(0.05))
  donating = trainer.step()

  def step(state, batch):
    # Of a copy, so that a test can look at the state before.
    return donating(jax.tree.map(jnp.copy, state), batch)

  rng = np.random.default_rng(0)
  size = config.data.image_size
  shape = (5, config.batch_size, size, size, 3)
  images = rng.integers(0, 256, shape, dtype=np.uint8)
  labels = rng.integers(0, 10, shape[:2], dtype=np.int32)
  batches = [
    sharding.to_global(mesh, {'image': i, 'label': j})
    for i, j in zip(images, labels, strict=True)
  ]
  return trainer.init(), step, batches


def losses(config, mesh):
  state, step, batches = build(config, mesh)
  result = []
  for batch in batches:
    state, metrics = step(state, batch)
    assert float(metrics['count']) == config.batch_size
    result.append(float(metrics['loss']) / config.batch_size)
  return result, jax.device_get(state)


def test_one_and_eight_devices_agree(
  tiny, one_device, eight_devices, monkeypatch
):
  # A smooth activation: at ReLU's kink, an input within rounding of 0 may fall
  # on either side, and the difference grows from step to step.
  monkeypatch.setattr(nn, 'relu', nn.softplus)
  tiny.data.rotate, tiny.data.policy = 15.0, 'autoaugment'
  tiny.data.erase, tiny.data.mixup, tiny.data.cutmix = 0.25, 0.2, 1.0
  one, state_one = losses(tiny, one_device)
  eight, state_eight = losses(tiny, eight_devices)
  assert len(set(one)) == 5
  np.testing.assert_allclose(one, eight, atol=1e-5, rtol=0)
  for a, b in zip(*map(jax.tree.leaves, (state_one, state_eight)), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(
  'precision, exact',
  [('float32', 'HIGHEST'), ('tensorfloat32', 'HIGH'), ('bfloat16', 'DEFAULT')],
)
def test_products_are_as_exact_as_the_precision_says(
  tiny, one_device, precision, exact
):
  tiny.precision, tiny.data.rotate = precision, 15.0
  trainer = Trainer(tiny, one_device, 10, optax.constant_schedule(0.05))
  text = trainer.lower().as_text()
  kinds = ('convolution', 'dot_general')
  found = {
    kind: re.findall(rf'stablehlo.{kind}.*\bprecision(?: = \[| )(\w+)', text)
    for kind in kinds
  }
  for kind in kinds:
    assert len(found[kind]) == text.count(f'stablehlo.{kind}') > 5
  assert set(found['convolution']) == {exact}
  # The classifiers' are the network's; where a pixel comes from is exact.
  assert set(found['dot_general']) == {exact, 'HIGHEST'}


def test_state_lies_whole_on_every_device(tiny, eight_devices):
  state, step, batches = build(tiny, eight_devices)
  assert batches[0]['image'].sharding.shard_shape((16, 16, 16, 3))[0] == 2
  state, _ = step(state, batches[0])
  assert all(x.sharding.is_fully_replicated for x in jax.tree.leaves(state))


def test_the_optimizers_state_is_split_and_the_arithmetic_the_same(
  tiny, eight_devices
):
  whole, state = losses(tiny, eight_devices)
  tiny.optimizer.shard_state = True
  trainer = Trainer(tiny, eight_devices, 10, optax.constant_schedule(0.05))
  split, state_split = losses(tiny, eight_devices)
  np.testing.assert_allclose(split, whole, rtol=1e-6)
  # Five steps of rounding.
  close(state_split.params, state.params, rtol=1e-5, atol=1e-5)

  def on_a_device(tree):
    return sum(
      math.prod(x.sharding.shard_shape(x.shape)) for x in jax.tree.leaves(tree)
    )

  abstract = trainer.abstract
  params = on_a_device(abstract.params)
  assert params == sum(x.size for x in jax.tree.leaves(abstract.params))
  # Mean squares and momenta, and the average; a few arrays do not divide.
  assert on_a_device(abstract.opt_state) < 0.3 * params
  assert on_a_device(abstract.ema) < 0.15 * params


def test_auxiliary_loss_has_its_weight(tiny, one_device):
  tiny.model.dropout_rate = 0.0
  gradients = {}
  for weight in (0.0, 0.4):
    tiny.aux_loss_weight = weight
    tiny.weight_decay = 0.0
    state, step, batches = build(tiny, one_device)
    after, _ = step(state, batches[0])
    moved = jax.tree.map(lambda a, b: a - b, after.params, state.params)
    gradients[weight] = moved
  assert not np.any(gradients[0.0]['aux']['conv_0']['conv']['kernel'])
  assert np.any(gradients[0.4]['aux']['conv_0']['conv']['kernel'])
  np.testing.assert_array_equal(
    gradients[0.0]['head']['dense']['kernel'],
    gradients[0.4]['head']['dense']['kernel'],
  )


def test_ema_is_tensorflows(tiny, one_device):
  import tensorflow as tf

  tiny.ema_decay = 0.2  # over the ramp's first two values
  state, step, batches = build(tiny, one_device)
  averaged = lambda s: jax.tree.leaves((s.params, s.batch_stats))
  follows = [tf.Variable(leaf) for leaf in averaged(state)]
  count = tf.Variable(0)
  theirs = tf.train.ExponentialMovingAverage(tiny.ema_decay, count)
  theirs.apply(follows)
  for i in range(4):
    count.assign(i)
    state, _ = step(state, batches[i % len(batches)])
    for variable, leaf in zip(follows, averaged(state), strict=True):
      variable.assign(leaf)
    theirs.apply(follows)
  ours = jax.tree.leaves((state.ema['params'], state.ema['batch_stats']))
  for ema, variable in zip(ours, follows, strict=True):
    close_to_largest(ema, theirs.average(variable))


def test_randomness_follows_the_step_and_the_seed(tiny, one_device):
  state, step, batches = build(tiny, one_device)
  first = step(state, batches[0])[1]['loss']
  assert first == step(state, batches[0])[1]['loss']
  later = state.replace(step=state.step + 1)
  assert first != step(later, batches[0])[1]['loss']
  tiny.seed = 1
  _, other_step, _ = build(tiny, one_device)
  assert first != other_step(state, batches[0])[1]['loss']


@pytest.mark.parametrize('devices', [3, 5, 7])
def test_round_up_fits_devices(devices):
  mesh = sharding.make_mesh(jax.devices()[:devices])
  assert sharding.round_up(16, mesh) % devices == 0
  assert 16 <= sharding.round_up(16, mesh) < 16 + devices


def test_batches_divide_over_devices_and_parts(tiny):
  tiny.gradient_accumulation = 2
  assert sharding.check(tiny, 8) == []
  tiny.gradient_accumulation = 3
  assert sharding.check(tiny, 2) == [
    'batch_size=16 does not divide over 3 times 2 devices; nearest that do: '
    '12, 18'
  ]


@pytest.fixture
def plain(tiny):
  """No augmentation, dropout or average; SGD."""
  tiny.model.aux_head, tiny.model.dropout_rate, tiny.ema_decay = False, 0.0, 0.0
  tiny.data.color_jitter, tiny.data.pad = (0.0,) * 4, 0
  tiny.optimizer.name = 'sgd'
  return tiny


def close(a, b, **tolerance):
  for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True):
    np.testing.assert_allclose(x, y, **tolerance)


def test_accumulated_gradients_are_those_of_the_batch(
  plain, one_device, eight_devices
):
  state, step, batches = build(plain, one_device)
  # Every image twice, so that both parts have the statistics of the whole.
  twice = lambda batch: jax.tree.map(lambda x: jnp.repeat(x[:8], 2, 0), batch)
  whole, metrics = step(state, twice(batches[0]))
  plain.gradient_accumulation = 2
  for mesh in (one_device, eight_devices):
    state, step, batches = build(plain, mesh)
    batch = jax.device_put(twice(batches[0]), sharding.batch(mesh))
    parts, again = step(state, batch)
    close(parts.params, whole.params, atol=1e-6)
    for key in ('loss', 'top1', 'count'):
      np.testing.assert_allclose(again[key], metrics[key], rtol=1e-6)
    # The moving averages have moved twice: m² of the old is left, not m.
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


def test_what_is_computed_again_for_gradients(tiny, one_device, eight_devices):
  """No convolution, and no exchange; and the gradients are the same."""
  found = {}
  for tiny.remat in (False, True):
    for mesh in (one_device, eight_devices):
      state, step, batches = build(tiny, mesh)
      found[tiny.remat, mesh.size] = step(state, batches[0])
  for size in (1, 8):
    close(*(found[remat, size] for remat in (False, True)), atol=1e-6)

  def counted(remat, pattern):
    tiny.remat = remat
    trainer = Trainer(tiny, eight_devices, 10, optax.constant_schedule(0.05))
    # For GPUs, as on CPUs XLA computes nothing again, whatever it is asked.
    lowered = trainer.lower(('cuda',)).as_text()
    return len(re.findall(pattern, lowered))

  assert counted(True, 'optimization_barrier') > 0
  assert counted(False, 'optimization_barrier') == 0
  for pattern, more in (
    ('stablehlo.convolution', False),
    ('stablehlo.maximum', True),
    ('stablehlo.rsqrt', True),
  ):
    assert (counted(True, pattern) > counted(False, pattern)) == more


def test_sums_of_residual_blocks_are_not_computed_again(tiny, monkeypatch):
  block = specs.Residual(specs.mixed(specs.conv(8), specs.conv(8)), 0.1)
  layers = ('conv_1a', specs.conv(24, 3)), ('block_1', block)
  network = specs.Architecture(
    stems={'small': layers}, body=(('block_2', block),), card=Card()
  )
  monkeypatch.setitem(architectures.ARCHITECTURES, 'residual', network)
  tiny.model.update(name='residual', aux_head=False)
  found = []
  for tiny.remat in (False, True):
    mesh = sharding.make_mesh(jax.devices()[:1])
    trainer = Trainer(tiny, mesh, 10, optax.constant_schedule(0.05))
    lowered = trainer.lower(('cuda',)).as_text()
    side = tiny.data.image_size
    of_blocks = f'tensor<{tiny.batch_size}x{side}x{side}x24xf32>'
    found.append(len(re.findall(f'stablehlo.add .* : {of_blocks}', lowered)))
  assert found[1] == found[0] + 1  # of the first BatchNorm


def test_overflows_of_float16_are_skipped(plain, one_device):
  float32, step, batches = build(plain, one_device)
  for batch in batches[:2]:
    float32, _ = step(float32, batch)
  plain.precision = 'float16'
  before, step, batches = build(plain, one_device)
  scale = lambda state: float(state.loss_scale['scale'])
  assert scale(before) == 2**15
  large = jax.tree.map(lambda x: x, before.loss_scale)
  large['scale'] = jnp.float32(2.0**40)
  after, metrics = step(before.replace(loss_scale=large), batches[4])
  assert (metrics['skipped'], metrics['count'], scale(after)) == (1, 0, 2.0**39)
  assert int(after.step) == 1
  close(after.params, before.params, rtol=0)
  close(after.batch_stats, before.batch_stats, rtol=0)
  # The schedule goes with the steps, the momentum stays.
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
  close(before.params, float32.params, atol=0.02)
  close(before.batch_stats, float32.batch_stats, atol=0.02)
