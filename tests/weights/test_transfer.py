"""Trained weights in a network with other classes, channels or image size."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.weights import transfer
from tests.parity import cases
from tests.parity import compare


def zeros(model, shape):
  """Returns the model's variables for images of that shape, all 0."""
  images = jnp.zeros(shape)
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)
  return jax.tree.map(lambda x: jnp.zeros(x.shape), shapes)


@pytest.mark.slow
def test_other_number_of_classes_keeps_new_classifiers(caplog, timm_v3):
  model = architectures.create_model('inception_v3', 5, aux_head=True)
  fresh = zeros(model, (1, 299, 299, 1))
  with caplog.at_level('INFO', 'inception_jax'):
    tuned = transfer.transfer(fresh, timm_v3)
  assert '7 → 5 classes' in caplog.text
  assert 'auxiliary head is newly initialized' in caplog.text
  assert 'summed over its 3 input channels' in caplog.text
  trained = timm_v3.variables['params']
  np.testing.assert_allclose(
    tuned['params']['conv_1a']['conv']['kernel'],
    trained['conv_1a']['conv']['kernel'].sum(2, keepdims=True),
    rtol=1e-6,
    atol=1e-6,
  )
  np.testing.assert_array_equal(
    tuned['params']['conv_2a']['conv']['kernel'],
    trained['conv_2a']['conv']['kernel'],
  )
  assert not tuned['params']['head']['dense']['kernel'].any()


def test_the_first_kernel_of_grey_images_is_repeated_for_color(caplog, timm_v3):
  """As by timm.models.adapt_input_conv."""
  grey = jax.tree.map(lambda x: x, timm_v3.variables)
  conv = grey['params']['conv_1a']['conv']
  conv['kernel'] = kernel = conv['kernel'][:, :, :1]
  weights = dataclasses.replace(timm_v3, variables=grey)
  model = architectures.create(timm_v3.network)
  with caplog.at_level('INFO', 'inception_jax'):
    tuned = transfer.transfer(zeros(model, (1, 299, 299, 3)), weights)
  assert 'a third of the first kernel is repeated' in caplog.text
  found = tuned['params']['conv_1a']['conv']['kernel']
  np.testing.assert_allclose(found, np.tile(kernel / 3, (1, 1, 3, 1)), 1e-6)


@pytest.mark.slow
def test_other_architecture_is_an_error(timm_v3):
  fresh = zeros(architectures.create_model('inception_v4', 5), (1, 299, 299, 3))
  with pytest.raises(UserError, match='does not fit'):
    transfer.transfer(fresh, timm_v3)


@pytest.mark.slow
def test_other_image_size_keeps_new_aux_head(caplog):
  case = cases.named('mindspore-inception_v3')
  with np.load(compare.golden_path(case)) as golden:
    weights = compare.weights_of(case, golden)
  assert weights.network.aux_head
  model = architectures.create(weights.network)

  with caplog.at_level('INFO', 'inception_jax'):
    tuned = transfer.transfer(zeros(model, (1, 299, 299, 3)), weights)
    assert 'newly initialized' not in caplog.text
    jax.tree.map(np.testing.assert_array_equal, tuned, weights.variables)
    # One kernel of the auxiliary head spans the whole grid, smaller at 171.
    tuned = transfer.transfer(zeros(model, (1, 171, 171, 3)), weights)
  assert 'the auxiliary head is newly initialized' in caplog.text
  assert not any(x.any() for x in jax.tree.leaves(tuned['params'].pop('aux')))
  trained = dict(weights.variables['params'])
  del trained['aux']
  jax.tree.map(np.testing.assert_array_equal, tuned['params'], trained)
