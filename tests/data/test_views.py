"""Views and canvases of the evaluation protocols."""

import numpy as np
import pytest
import tensorflow as tf

from inception_jax.data import decode
from inception_jax.data import views
from tests.support.pictures import config_of


@pytest.mark.parametrize(
  ('protocol', 'count', 'some'),
  [
    ('single', 1, [('image', 0, 0, 0, False)]),
    ('mirror', 2, [('image', 0, 0, 0, False), ('image', 0, 0, 0, True)]),
    (
      '12_crops',
      12,
      [
        ('scale_8', 0, 0, 0, False),
        ('scale_8', 0, 0, 42, True),
        ('scale_8', 0, 42, 0, False),
        ('scale_8', 0, 42, 42, True),
        ('scale_8', 0, 21, 21, False),
        ('image', 0, 0, 0, True),
      ],
    ),
    (
      '144_crops',
      144,
      [
        ('scale_8', 2, 42, 42, False),
        ('scale_9', 0, 85, 0, True),
        ('scale_10', 1, 64, 64, False),
        ('scale_11', 2, 0, 170, False),
        ('image', 0, 0, 0, False),
        ('image', 11, 0, 0, True),
      ],
    ),
  ],
)
def test_count_and_positions_of_views(protocol, count, some):
  # For size 299, the sides are 341, 384, 427 and 469; the last corners are at
  # 42, 85, 128 and 170.
  found = views.views(protocol, 299)
  assert len(found) == len(set(found)) == count
  assert {views.View(*view) for view in some} <= set(found)
  assert all(view.mirrored for view in found[(count + 1) // 2 :])


def test_scales_are_those_of_googlenet():
  assert list(views.sides('144_crops', 224).values()) == [256, 288, 320, 352]
  assert list(views.sides('12_crops', 299).values()) == [341]


@pytest.mark.parametrize('upright', [False, True])
def test_squares_lie_at_both_ends_and_in_the_middle(pictures, upright):
  config = config_of(pictures, eval_protocol='144_crops', image_size=14)
  # The first scale does not resize it, since its shorter side is 16.
  image = np.arange(16 * 41 * 3, dtype=np.uint32).reshape(16, 41, 3) % 251
  image = image.astype(np.uint8)
  turn = (lambda x: x.swapaxes(0, 1)) if upright else lambda x: x
  found = decode.eval_canvases(tf.constant(turn(image)), config.data)
  assert {key: x.shape for key, x in found.items()} == {
    'scale_8': (3, 16, 16, 3),
    'scale_9': (3, 18, 18, 3),
    'scale_10': (3, 20, 20, 3),
    'scale_11': (3, 22, 22, 3),
    'image': (12, 14, 14, 3),
  }
  for square, begin in zip(found['scale_8'].numpy(), (0, 12, 25), strict=True):
    np.testing.assert_array_equal(square, turn(image[:, begin : begin + 16]))
  whole = decode.eval_canvases(tf.constant(found['scale_9'][1]), config.data)
  np.testing.assert_array_equal(whole['image'][1 + 3], found['image'][1 + 3])
