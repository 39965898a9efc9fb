"""Folding BatchNorm into convolutions does not change the network."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.models import architectures
from inception_jax.models import fold
from tests.support.pictures import random_variables


def slow(*args):
  return pytest.param(*args, marks=pytest.mark.slow)


def pooled_values(model, variables, images):
  """Returns how many values all average pools take as input."""
  traced = jax.make_jaxpr(model.apply)(variables, images)
  pools = [x for x in traced.eqns if x.primitive.name == 'reduce_window_sum']
  assert pools
  return sum(x.invars[0].aval.size for x in pools)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'size', 'model_args', 'count_include_pad', 'int8'),
  [
    ('inception_v3', 75, {'aux_head': True}, False, False),
    slow('inception_v3', 75, {}, True, False),
    slow('inception_v4', 75, {'head_batch_norm': True}, False, False),
    slow('inception_v4', 75, {}, False, True),
    slow('cifar_inception_resnet_v2', 32, {}, False, False),
  ],
)
def test_folding_keeps_the_logits(
  name, size, model_args, count_include_pad, int8
):
  model = architectures.create_model(name, 7, width=0.1, **model_args)
  model = model.clone(
    options=dataclasses.replace(
      model.options, count_include_pad=count_include_pad
    )
  )
  images = jax.random.normal(jax.random.key(1), (2, size, size, 3))
  variables = random_variables(model, size)
  folded, folded_variables = fold.fold(model, variables, False, int8)
  assert folded_variables.keys() == {'params'}
  expected = jax.eval_shape(folded.init, jax.random.key(0), images)['params']
  assert jax.tree.map(jnp.shape, folded_variables['params']) == jax.tree.map(
    jnp.shape, expected
  )
  before = jax.jit(model.apply)(variables, images)[0]
  after = jax.jit(folded.apply)(folded_variables, images)[0]
  np.testing.assert_allclose(
    after, before, atol=2e-5 * float(jnp.abs(before).max())
  )
  # Average pools have fewer input channels, if that changes no result.
  unmoved, _ = fold.fold(model, variables, False, True)
  fewer = pooled_values(folded, folded_variables, images) < pooled_values(
    unmoved, folded_variables, images
  )
  assert fewer != (count_include_pad or int8 or name.startswith('cifar'))
