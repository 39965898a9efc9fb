"""Images that grow over a training."""

import jax
import numpy as np
from PIL import Image
import pytest

from inception_jax.config import durations
from inception_jax.data.augment import transforms
from inception_jax.training import growth
from inception_jax.training import loss_scale
from inception_jax.training import objective
from tests.support.tiny import tiniest_config
from tests.support.train_steps import assert_trees_close
from tests.support.train_steps import make_steps
from tests.support.train_steps import make_trainer


def growing(config, total: str, grow_for: str, stages: int = 4):
  """Sets images of 24 pixels that grow to 32; returns the data and a plan."""
  config.data.update(
    image_size=32, grow_from=24, grow_for=grow_for, grow_stages=stages
  )
  config.train_for = total
  return config.data, durations.plan(config, 1000)


def sizes_of(data, plan):
  return [growth.image_size(data, plan, s) for s in range(1, plan.total + 1)]


def test_images_grow_in_equal_stages(tiny):
  data, plan = growing(tiny, '10 steps', '80 percent')
  expected = [24, 24, 26, 26, 28, 28, 30, 30, 32, 32]
  assert sizes_of(data, plan) == expected
  data, plan = growing(tiny, '3 steps', '8 steps')  # ends before they are grown
  assert sizes_of(data, plan) == [24, 24, 26]
  data.grow_from = 0
  assert sizes_of(data, plan) == [32, 32, 32]


@pytest.mark.parametrize(
  ('total', 'grow_for', 'stages'),
  [(20, 16, 4), (20, 7, 3), (5, 20, 4), (10, 3, 7), (4, 4, 1)],
)
def test_all_sizes_of_the_remaining_steps_are_known(
  tiny, total, grow_for, stages
):
  data, plan = growing(tiny, f'{total} steps', f'{grow_for} steps', stages)
  for start in range(total):
    later = sorted(set(sizes_of(data, plan)[start:]), reverse=True)
    steps = range(start + 1, total + 1)
    assert growth.image_sizes(data, plan, steps) == later


def test_resizing_is_antialiased_like_pillows():
  images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype('f')
  expected = [
    [
      Image.fromarray(image[:, :, c]).resize((20, 20), Image.BILINEAR)
      for c in range(3)
    ]
    for image in images
  ]
  expected = np.moveaxis(np.array(expected), 1, -1)
  np.testing.assert_allclose(growth.resize(images, 20), expected, atol=1e-5)
  assert growth.resize(images, 32) is images


@pytest.mark.slow
def test_step_trains_on_the_augmented_images_of_that_size(tiny, one_device):
  trainer = make_trainer(tiny, one_device)
  state, _, batches = make_steps(tiny, one_device)
  _, metrics = trainer.step(10)(state, batches[0])

  state = trainer.init()
  key = jax.random.fold_in(jax.random.key(tiny.seed), 0)
  augment_key, dropout_key = jax.random.split(key)
  images, targets = transforms.train_batch(
    augment_key, batches[0], tiny.data, 10
  )
  small = jax.image.resize(images, (16, 10, 10, 3), 'linear')
  assert images.shape[1] > 10
  forward = objective.make_objective(tiny, trainer.model)
  no_scale = loss_scale.make_loss_scale(tiny, state.loss_scale)
  _, (loss, *_) = jax.jit(lambda *args: forward(no_scale, *args))(
    state.params, state.batch_stats, small, targets, dropout_key
  )
  np.testing.assert_allclose(metrics['loss'], loss.sum(), rtol=1e-5)


@pytest.mark.parametrize(
  'change',
  [
    {'gradient_accumulation': 2},
    {'remat': True},
    {'precision': 'float16'},
    {'batch_norm': 'replica'},
  ],
)
def test_small_images_train_with_other_options(eight_devices, change):
  config = tiniest_config()
  config.update(change)
  state, _, batches = make_steps(config, eight_devices)
  state, metrics = make_trainer(config, eight_devices).step(10)(
    state, batches[0]
  )
  assert float(metrics['count']) == 16
  assert np.isfinite(float(metrics['loss']))
  assert int(state.step) == 1


def test_small_images_train_alike_on_one_and_eight_devices(
  one_device, eight_devices
):
  config, states = tiniest_config(), []
  for mesh in (one_device, eight_devices):
    state, _, batches = make_steps(config, mesh)
    states.append(make_trainer(config, mesh).step(10)(state, batches[0])[0])
  assert_trees_close(*jax.device_get(states), atol=1e-5)


@pytest.mark.slow
def test_other_programs_compile_the_full_size(tiny, one_device):
  """Ahead of time, the size that needs the most memory."""
  text = make_trainer(tiny, one_device).lower().as_text()
  tiny.data.grow_from = 10
  trainer = make_trainer(tiny, one_device)
  assert trainer.lower().as_text() == text
  assert trainer.lower(image_size=10).as_text() != text
