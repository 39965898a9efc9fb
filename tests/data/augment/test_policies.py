"""Policies against torchvision's, timm's and MindCV's own.

tests/parity/policies.py writes the golden files, by calling the packages.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import datasets

from configs import default
from configs import mindcv_inception_v4
from inception_jax.data import config_check
from inception_jax.data.augment import image_ops
from inception_jax.data.augment import policies
from inception_jax.models import factory
from tests.parity import compare_policies
from tests.parity import policies as parity
from tests.support.recipes import ROOT

PACKAGE_OF = {
  'autoaugment': 'torchvision',
  'autoaugment_cifar10': 'torchvision',
  'autoaugment_original': 'mindcv',
  'autoaugment_timm': 'timm',
  'randaugment': 'torchvision',
  'randaugment_increasing': 'timm',
}
SHAPE = parity.golden_image().shape
by_policy = pytest.mark.parametrize('policy', policies.POLICIES)


@functools.cache
def golden(policy):
  records, images = parity.load(parity.golden_path(PACKAGE_OF[policy]))
  return records[policy], images


def draw(config_data, count=4000):
  keys = jax.random.split(jax.random.key(1), count)
  return jax.jit(jax.vmap(lambda key: policies.draw(key, SHAPE, config_data)))(
    keys
  )


@pytest.fixture
def data():
  return factory.resolve(default.get_config()).data


@by_policy
def test_pairs_are_the_sources(policy):
  record, _ = golden(policy)
  if not record['pairs']:
    assert policies.POLICIES[policy].pairs is None
    return
  mapped = lambda name: compare_policies.mapped(policy, name)
  theirs = tuple(
    tuple((mapped(name), *rest) for name, *rest in pair)
    for pair in record['pairs']
  )
  assert policies.POLICIES[policy].pairs == theirs


@by_policy
def test_levels_are_the_sources_at_every_magnitude(policy):
  record, _ = golden(policy)
  drawn = {policies.applied_name(n) for n in policies.POLICIES[policy].names}
  compared = set()
  for name, theirs in record['levels'].items():
    ours = compare_policies.levels(policy, name, len(theirs), SHAPE)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-5, err_msg=name)
    compared.add(policies.applied_name(compare_policies.mapped(policy, name)))
  assert drawn <= compared


@by_policy
def test_operations_give_the_sources_pixels(policy):
  record, images = golden(policy)
  assert len(record['images']) >= 22
  for name, magnitude, level, index in record['images']:
    most, mean = compare_policies.pixels(
      parity.golden_image(),
      *(policy, name, level, images[index]),
      step=parity.GOLDEN_STEP,
    )
    bound = compare_policies.bound(policy, name)
    where = f'{name} at {magnitude}: {most}, {mean} on average'
    assert most <= (2 if bound is None else bound), where
    # PIL repeats pixels at the border, and ours blends them with the fill.
    assert mean <= (8 if name in image_ops.MOVING else 0.6), where


@by_policy
def test_draws_are_distributed_as_the_sources(policy):
  record, _ = golden(policy)
  errors = compare_policies.draws_differ(policy, record['drawn'], SHAPE)
  assert len(errors) >= 9
  assert max(errors.values()) < 5, errors


@pytest.mark.parametrize('policy', ['autoaugment', 'randaugment'])
def test_earlier_policies_draw_what_they_always_drew(data, policy):
  # Written before there were others: runs resume with the same images.
  with np.load(ROOT / 'tests' / 'golden' / 'policy_draws.npz') as file:
    before = {
      key: file[f'{policy}/{key}'] for key in ('operations', 'levels', 'images')
    }
  data.policy, data.rand_ops = policy, 3
  image = datasets.load_sample_image('flower.jpg')[150:170, 230:254]
  keys = jax.random.split(jax.random.key(3), 128)[:64]
  draw = lambda key: policies.draw(key, image.shape, data)
  operations, levels = jax.jit(jax.vmap(draw))(keys)
  np.testing.assert_array_equal(operations, before['operations'])
  np.testing.assert_array_equal(levels, before['levels'])
  apply = lambda key: policies.apply(key, jnp.float32(image), data)
  images = np.asarray(jax.jit(jax.vmap(apply))(keys[:2]))
  # Another CPU may round another way.
  difference = np.abs(images - before['images'])
  assert difference.max() <= 1 and np.mean(difference > 0) < 0.01


@pytest.mark.parametrize(
  'policy', [name for name, policy in policies.POLICIES.items() if policy.noisy]
)
def test_noise_moves_magnitudes_within_their_range(data, policy):
  data.policy, data.policy_noise = policy, 0.0
  fixed = draw(data)
  data.policy_noise = 4.0
  noisy = draw(data)
  # Only the size of levels changes: the noise has a key of its own.
  np.testing.assert_array_equal(fixed[0], noisy[0])
  rotated = np.asarray(fixed[0]) == image_ops.NAMES.index('rotate')
  without, degrees = (np.asarray(x[1])[rotated] for x in (fixed, noisy))
  np.testing.assert_array_equal(np.signbit(without), np.signbit(degrees))
  assert len(np.unique(abs(without))) <= 3 < 50 < len(np.unique(abs(degrees)))
  assert abs(degrees).max() == 30
  # With RandAugment's one magnitude, 9, this is 2.25 standard deviations away.
  assert np.mean(degrees == 0) > 0.005


@pytest.mark.parametrize('probability', [0.0, 0.3, 1.0])
def test_rand_probability_is_of_each_operation(data, probability):
  data.policy, data.rand_probability = 'randaugment_increasing', probability
  operations, _ = draw(data)
  applied = np.asarray(operations) != image_ops.NAMES.index('identity')
  assert abs(applied.mean() - probability) < 0.03
  assert operations.shape == (4000, 2)


@by_policy
def test_policies_draw_per_image_and_are_deterministic(data, policy):
  data.policy = policy
  image = datasets.load_sample_image('flower.jpg')[150:214, 230:310]
  keys = jax.random.split(jax.random.key(0), 24)
  apply = jax.jit(
    jax.vmap(lambda key: policies.apply(key, jnp.float32(image), data))
  )
  out = apply(keys)
  assert len({x.tobytes() for x in np.asarray(out)}) > 10
  np.testing.assert_array_equal(out, apply(keys))
  np.testing.assert_array_equal(out, np.round(out))
  assert 0 <= out.min() and out.max() <= 255


def test_mindcvs_recipe_has_mindcvs_policy_and_noise():
  config = factory.resolve(mindcv_inception_v4.get_config())
  assert PACKAGE_OF[config.data.policy] == 'mindcv'
  # MindCV's default (mindcv 0.3.0, mindcv/data/auto_augment.py:440).
  assert config.data.policy_noise == 0.5
  faults = config_check.check(config)
  assert not [fault for fault in faults if 'data.policy' in fault]


@pytest.mark.parametrize(
  'changes, fault',
  [
    ({'policy': 'autoaugment', 'policy_noise': 0.5}, 'data.policy_noise=0.5: '),
    ({'policy_noise': -1.0}, 'data.policy_noise=-1.0: '),
    ({'rand_magnitude': 31.0}, 'data.rand_magnitude=31.0: '),
    (
      {'policy': 'randaugment_increasing', 'rand_magnitude': 11.0},
      'data.rand_magnitude=11.0: expected at least 0, at most 10',
    ),
    ({'rand_probability': 1.5}, 'data.rand_probability=1.5: '),
  ],
)
def test_settings_that_a_policy_does_not_have_are_errors(changes, fault):
  config = factory.resolve(default.get_config())
  config.data.update(changes)
  (found,) = config_check.check(config)
  assert found.startswith(fault)
