"""Precision and sharding of the compiled step."""

import math
import re

import jax
import numpy as np
import pytest

from tests.support.train_steps import assert_trees_close
from tests.support.train_steps import make_steps
from tests.support.train_steps import make_trainer
from tests.support.train_steps import train_five_steps


@pytest.mark.parametrize(
  'precision, expected',
  [('float32', 'HIGHEST'), ('tensorfloat32', 'HIGH'), ('bfloat16', 'DEFAULT')],
)
def test_convolutions_and_dots_have_the_configured_precision(
  tiny, one_device, precision, expected
):
  tiny.precision, tiny.data.rotate = precision, 15.0
  text = make_trainer(tiny, one_device).lower().as_text()
  kinds = ('convolution', 'dot_general')
  found = {
    kind: re.findall(rf'stablehlo.{kind}.*\bprecision(?: = \[| )(\w+)', text)
    for kind in kinds
  }
  for kind in kinds:
    assert len(found[kind]) == text.count(f'stablehlo.{kind}') > 5
  assert set(found['convolution']) == {expected}
  # Those of the network, and those of the rotation, always in full precision.
  assert set(found['dot_general']) == {expected, 'HIGHEST'}


def test_batch_is_sharded_and_state_replicated(tiniest, eight_devices):
  state, step, batches = make_steps(tiniest, eight_devices)
  assert batches[0]['image'].sharding.shard_shape((16, 16, 16, 3))[0] == 2
  state, _ = step(state, batches[0])
  assert all(x.sharding.is_fully_replicated for x in jax.tree.leaves(state))


@pytest.mark.slow
def test_batch_norm_of_images_computes_on_one_device_what_replicas_do(
  tiny, one_device, eight_devices
):
  tiny.data.pad, tiny.model.dropout_rate = 0, 0.0
  results = {}
  for tiny.batch_norm, mesh in (
    ('replica', eight_devices),
    ('2 images', one_device),
    ('global', one_device),
  ):
    state, step, batches = make_steps(tiny, mesh)
    state, metrics = step(state, batches[0])
    results[tiny.batch_norm] = jax.device_get(
      (metrics['loss'], state.batch_stats)
    )
  ours, theirs = results['2 images'], results['replica']
  np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5)
  assert_trees_close(ours[1], theirs[1], rtol=1e-4, atol=1e-5)
  assert abs(results['global'][0] / theirs[0] - 1) > 1e-3


@pytest.mark.slow
def test_sharded_optimizer_state_gives_the_same_training(tiny, eight_devices):
  losses, state = train_five_steps(tiny, eight_devices)
  tiny.optimizer.shard_state = True
  abstract = make_trainer(tiny, eight_devices).abstract
  losses_sharded, state_sharded = train_five_steps(tiny, eight_devices)
  np.testing.assert_allclose(losses_sharded, losses, rtol=1e-6)
  # The rounding errors of five steps.
  assert_trees_close(state_sharded.params, state.params, rtol=1e-5, atol=1e-5)

  def size_on_a_device(tree):
    return sum(
      math.prod(x.sharding.shard_shape(x.shape)) for x in jax.tree.leaves(tree)
    )

  params = size_on_a_device(abstract.params)
  assert params == sum(x.size for x in jax.tree.leaves(abstract.params))
  # Two trees, mean squares and momenta, and one of moving averages; a few
  # arrays cannot be sharded.
  assert size_on_a_device(abstract.opt_state) < 0.3 * params
  assert size_on_a_device(abstract.ema) < 0.15 * params
