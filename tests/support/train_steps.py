"""Training steps on random batches, and comparisons of their results."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from inception_jax.distributed import sharding
from inception_jax.training.trainer import Trainer


def make_trainer(config, mesh, class_weights=None):
  """Returns a Trainer for ten classes, with a constant learning rate."""
  rate = optax.constant_schedule(0.05)
  return Trainer(config, mesh, 10, rate, class_weights)


def make_steps(config, mesh, class_weights=None):
  """Returns the first state, the step function, and five batches."""
  trainer = make_trainer(config, mesh, class_weights)
  donating_step = trainer.step()

  def step(state, batch):
    # Donates a copy, so that the test can use `state` afterwards.
    return donating_step(jax.tree.map(jnp.copy, state), batch)

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


def train_five_steps(config, mesh):
  """Returns the loss of each step, and the last state."""
  state, step, batches = make_steps(config, mesh)
  losses = []
  for batch in batches:
    state, metrics = step(state, batch)
    assert float(metrics['count']) == config.batch_size
    losses.append(float(metrics['loss']) / config.batch_size)
  return losses, jax.device_get(state)


def assert_close(ours, theirs):
  """Asserts that differences are at most 1e-6 of the largest value."""
  theirs = np.asarray(theirs)
  atol = 1e-6 * np.abs(theirs).max()
  np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)


def assert_trees_close(a, b, **tolerance):
  for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True):
    np.testing.assert_allclose(x, y, **tolerance)
