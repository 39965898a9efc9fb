"""`digits`: scikit-learn's handwritten digits."""

import numpy as np
from sklearn import datasets

from configs import digits
from inception_jax.data.sources import registry
from inception_jax.models import factory


def test_splits_hold_the_bundled_images_without_overlap():
  bunch = datasets.load_digits()
  config = factory.resolve(digits.get_config())
  train_split, test_split = (
    registry.load(config, split) for split in ('train', 'test')
  )
  assert (train_split.size, test_split.size) == (1437, 360)
  assert train_split.class_names == tuple('0123456789')
  labels = [int(test_split.fetch(i)['label']) for i in range(20)]
  assert labels == bunch.target[:100:5].tolist()
  image = train_split.fetch(0)['image'].numpy()
  np.testing.assert_array_equal(
    image[..., 0], np.round(bunch.images[1] * 15.9375)
  )
  test_images = {
    test_split.fetch(i)['image'].numpy().tobytes() for i in range(360)
  }
  train_images = {
    train_split.fetch(i)['image'].numpy().tobytes() for i in range(1437)
  }
  assert not test_images & train_images
