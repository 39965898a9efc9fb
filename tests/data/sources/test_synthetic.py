"""`synthetic`: random images."""

import numpy as np
import tensorflow as tf

from configs import digits
from inception_jax.data.sources import registry
from inception_jax.models import factory


def test_images_and_labels_depend_on_the_index_alone():
  config = factory.resolve(digits.get_config())
  config.data.source = 'synthetic'
  config.model.num_classes = 7
  split = registry.load(config, 'train')
  first, again, second = (
    split.fetch(tf.constant(i, tf.int64)) for i in (3, 3, 4)
  )
  np.testing.assert_array_equal(first['image'], again['image'])
  assert (first['image'].numpy() != second['image'].numpy()).any()
  assert first['image'].shape == (16, 16, 3)
  assert len(split.class_names) == 7
  labels = {
    int(split.fetch(tf.constant(i, tf.int64))['label']) for i in range(99)
  }
  assert labels == set(range(7))
