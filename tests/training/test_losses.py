"""Losses, compared with Keras's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
import tensorflow as tf

from configs import default
from inception_jax.training import losses
from tests.support import timm_golden
from tests.support.train_steps import assert_close


def test_label_smoothing_equals_tensorflows():
  logits = jax.random.normal(jax.random.key(0), (6, 5))
  labels = jnp.array([0, 1, 2, 3, 4, 0])
  theirs = tf.keras.losses.categorical_crossentropy(
    np.eye(5, dtype=np.float32)[labels],
    np.asarray(logits),
    from_logits=True,
    label_smoothing=0.1,
  )
  ours = losses.cross_entropy(logits, jax.nn.one_hot(labels, 5), 0.1)
  assert_close(ours, theirs)


@pytest.mark.parametrize('classes', [10, 1000])
def test_smoothing_times_n_over_n_minus_1_spares_the_label(classes):
  """As mindspore-ai/models' inceptionv3, src/loss.py, smooths labels.

  The label's target is 1 − s there, that of each other class s / (N − 1). The
  recipes mindspore_inception_v3* use it.
  """
  labels = jnp.arange(4)
  targets = jnp.where(jax.nn.one_hot(labels, classes), 0.9, 0.1 / (classes - 1))
  logits = jax.random.normal(jax.random.key(0), (4, classes))
  theirs = -jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1)
  ours = losses.cross_entropy(
    logits, jax.nn.one_hot(labels, classes), 0.1 * classes / (classes - 1)
  )
  assert_close(ours, theirs)


def test_binary_cross_entropy_equals_tensorflows():
  logits = jax.random.normal(jax.random.key(0), (6, 5))
  targets = jax.nn.softmax(jax.random.normal(jax.random.key(1), (6, 5)))
  # Keras smooths towards 1/2; timm, like this loss, towards 1/N.
  smoothed = 0.9 * targets + 0.1 / 5
  theirs = tf.keras.losses.binary_crossentropy(
    np.asarray(smoothed), np.asarray(logits), from_logits=True
  )
  ours = losses.binary_cross_entropy(logits, targets, 0.1)
  assert_close(ours, theirs)


def test_binary_cross_entropies_equal_timms():
  golden = timm_golden.part('losses')
  logits, targets = (jnp.array(golden[k]) for k in ('logits', 'targets'))
  config = default.get_config()
  assert len(golden['cases']) == 8
  for case in golden['cases']:
    config.loss = 'binary_cross_entropy' + ('_sum' if case['sum'] else '')
    config.label_smoothing = case['smoothing']
    config.loss_threshold = case['threshold']
    ours = losses.make_loss(config)(logits, targets).mean()
    np.testing.assert_allclose(ours, case['loss'], rtol=1e-6, err_msg=str(case))


def test_class_weights_multiply_the_targets_as_pytorchs():
  rng = np.random.default_rng(0)
  logits, weights = rng.normal(size=(6, 5)), rng.uniform(0.2, 3.0, 5)
  targets = np.eye(5)[[0, 1, 2, 3, 4, 0]]
  mixed = 0.7 * targets + 0.3 * np.roll(targets, -1, axis=0)
  config = default.get_config()
  for labels in (targets, mixed):
    for smoothing in (0.0, 0.1):
      config.label_smoothing = smoothing
      smoothed = (1 - smoothing) * labels + smoothing / 5
      # torch.nn.CrossEntropyLoss(weight, reduction='none'), by its formula.
      expected = -(weights * smoothed * special.log_softmax(logits, 1)).sum(1)
      found = losses.make_loss(config, jnp.float32(weights))(
        jnp.float32(logits), jnp.float32(labels)
      )
      np.testing.assert_allclose(found, expected, rtol=1e-5)
