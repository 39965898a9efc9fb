"""The steps: loss, hits, sums, averages, and the same on any device count."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from inception_jax import models
from inception_jax import optim
from inception_jax import sharding
from inception_jax import state as state_lib
from inception_jax import steps


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
  ours = steps.cross_entropy(logits, jax.nn.one_hot(labels, 5), 0.1)
  np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_hits_count_ranks_ties_and_nan():
  logits = jnp.array(
    [
      [5.0, 4.0, 3.0, 2.0, 1.0, 0.0],
      [1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
      [1.0, jnp.nan, 0.0, 0.0, 0.0, 0.0],
    ]
  )
  hit = lambda label, k: steps.hits(logits, jnp.full((3,), label), k).tolist()
  assert hit(0, 1) == [True, True, False]
  assert hit(1, 1) == [False, False, False]
  assert hit(1, 2) == [True, True, False]
  assert hit(4, 5) == [True, True, False]
  assert hit(5, 5) == [False, False, False]
  random = jax.random.normal(jax.random.key(0), (50, 7))
  labels = jnp.arange(50) % 7
  np.testing.assert_array_equal(
    steps.hits(random, labels, 1), random.argmax(-1) == labels
  )


def test_masked_rows_do_not_count():
  logits = jnp.array([[2.0, 0.0], [0.0, 2.0], [jnp.nan, jnp.nan]])
  labels = jnp.array([0, 0, 0])
  loss = steps.cross_entropy(logits, jax.nn.one_hot(labels, 2), 0.0)
  sums = steps.sums(loss, logits, labels, jnp.array([1.0, 1.0, 0.0]))
  assert float(sums['count']) == 2
  assert float(sums['top1']) == 1
  np.testing.assert_allclose(sums['loss'], loss[0] + loss[1])


def test_ema_ramps_up():
  at = lambda t: float(steps.ema_decay(0.99, jnp.asarray(t)))
  np.testing.assert_allclose([at(0), at(9), at(10**6)], [0.1, 10 / 19, 0.99])


def build(config, mesh):
  """(state, step, batches) of five training steps."""
  model = models.build(config, 10)
  rate = optax.constant_schedule(0.05)
  tx = optim.optimizer(config, rate)
  init = state_lib.init_fn(config, model, tx)
  abstract = state_lib.abstract(init, mesh)
  shardings = jax.tree.map(lambda x: x.sharding, abstract)
  step = jax.jit(
    steps.make_train_step(config, model, tx, rate),
    in_shardings=(shardings, sharding.batch(mesh)),
    out_shardings=(shardings, sharding.replicated(mesh)),
  )
  rng = np.random.default_rng(0)
  size = config.data.image_size
  shape = (5, config.batch_size, size, size, 3)
  images = rng.integers(0, 256, shape, dtype=np.uint8)
  labels = rng.integers(0, 10, shape[:2], dtype=np.int32)
  batches = [
    sharding.to_global(mesh, {'image': i, 'label': j})
    for i, j in zip(images, labels, strict=True)
  ]
  return jax.jit(init, out_shardings=shardings)(), step, batches


def losses(config, mesh):
  state, step, batches = build(config, mesh)
  result = []
  for batch in batches:
    state, metrics = step(state, batch)
    assert float(metrics['count']) == config.batch_size
    result.append(float(metrics['loss']) / config.batch_size)
  return result, jax.device_get(state)


def test_one_and_eight_devices_agree(tiny, one_device, eight_devices):
  tiny.data.rotate, tiny.data.policy = 15.0, 'autoaugment'
  tiny.data.erase, tiny.data.mixup, tiny.data.cutmix = 0.25, 0.2, 1.0
  one, state_one = losses(tiny, one_device)
  eight, state_eight = losses(tiny, eight_devices)
  assert len(set(one)) == 5
  np.testing.assert_allclose(one, eight, atol=1e-5, rtol=0)
  for a, b in zip(*map(jax.tree.leaves, (state_one, state_eight)), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_state_lies_whole_on_every_device(tiny, eight_devices):
  state, step, batches = build(tiny, eight_devices)
  assert batches[0]['image'].sharding.shard_shape((16, 16, 16, 3))[0] == 2
  state, _ = step(state, batches[0])
  assert all(x.sharding.is_fully_replicated for x in jax.tree.leaves(state))


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


def test_ema_follows_weights_and_statistics(tiny, one_device):
  state, step, batches = build(tiny, one_device)
  after, _ = step(state, batches[0])
  for kind in ('params', 'batch_stats'):
    old = jax.tree.leaves(getattr(state, kind))
    new = jax.tree.leaves(getattr(after, kind))
    for a, b, ema in zip(
      old, new, jax.tree.leaves(after.ema[kind]), strict=True
    ):
      np.testing.assert_allclose(ema, 0.1 * a + 0.9 * b, rtol=1e-4, atol=1e-6)


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
