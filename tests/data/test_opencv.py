"""Resizing as OpenCV, against its own pixels."""

import numpy as np
import pytest
import tensorflow as tf

from inception_jax.data import opencv
from tests.parity import pixels


@pytest.mark.parametrize('case', range(len(pixels.RESIZES)))
def test_pixels_equal_opencvs(case):
  shape, size = pixels.RESIZES[case]
  with pixels.golden('opencv') as golden:
    expected = golden[f'image_{case}']
  spec = tf.TensorSpec((None, None, shape[-1]), tf.uint8)
  # In a graph, whose optimizer may reorder arithmetic.
  resize = tf.function(lambda image: opencv.resize(image, size), [spec])
  found = resize(tf.constant(pixels.image(*shape)))
  assert found.dtype == tf.uint8
  np.testing.assert_array_equal(found, expected)
