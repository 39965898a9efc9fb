"""The public loader of trained networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import inception_jax
from inception_jax.weights import exporter
from tests.parity import cases


@pytest.mark.slow
def test_load_pretrained(tmp_path, timm_v3):
  path = str(tmp_path / 'v3.safetensors')
  exporter.save(timm_v3, path, 'timm')
  model, variables, card = inception_jax.load_pretrained(path)
  assert card == timm_v3.card
  jax.tree.map(np.testing.assert_array_equal, variables, timm_v3.variables)
  images = jnp.zeros((1, 75, 75, 3))
  logits, aux = jax.eval_shape(model.apply, variables, images)
  assert (logits.shape, aux) == ((1, cases.NUM_CLASSES), None)

  model, variables, _ = inception_jax.load_pretrained(path, num_classes=5)
  logits, _ = jax.eval_shape(model.apply, variables, images)
  assert logits.shape == (1, 5)
  dense = variables['params']['head'].pop('dense')
  assert dense['kernel'].shape == (2048, 5) and dense['kernel'].any()
  jax.tree.map(
    np.testing.assert_array_equal,
    variables['params']['mixed_7c'],
    timm_v3.variables['params']['mixed_7c'],
  )
