"""Windows of training crops, against those of other libraries.

`tests.parity.crops` wrote the golden file, with the libraries themselves.
"""

import json

import numpy as np
import pytest
import tensorflow as tf

from inception_jax.config import defaults
from inception_jax.data import crops
from tests.parity import crops as parity

GOLDEN = json.loads(parity.GOLDEN.read_text())
COUNT = 20_000
BOUND = 0.012  # five standard deviations of COUNT draws


def windows(shape, count, boxes=None, **data):
  """Returns int32 [count, 4] windows: row, column, height, width; seed 3."""
  config = defaults.get_config().data
  config.update(data)

  def window(position):
    seed = tf.stack([tf.constant(3, tf.int64), position])
    drawn = crops.sample(tf.constant((*shape, 3)), seed, config, boxes)
    return tf.concat(drawn, 0)

  drawn = tf.data.Dataset.range(count).map(window).batch(count)
  return next(drawn.as_numpy_iterator())


@pytest.mark.slow
@pytest.mark.parametrize('shape', parity.SHAPES)
@pytest.mark.parametrize('crop', ['resized', 'tensorflow'])
def test_crops_have_the_distribution_of_their_source(crop, shape):
  of_crop = {s: area for s, (c, area) in parity.SOURCES.items() if c == crop}
  for area in set(of_crop.values()):
    drawn = parity.ours(shape, COUNT, train_crop=crop, crop_area=area)
    found = parity.statistics(drawn, shape)
    for source in of_crop:
      expected = GOLDEN['statistics'][source]['{}×{}'.format(*shape)]
      assert found == pytest.approx(expected, abs=BOUND)


@pytest.mark.parametrize('name', GOLDEN['centers'])
def test_where_no_attempt_fits_the_center_is_cropped(name):
  shape = tuple(map(int, name.split('×')))
  drawn = windows(shape, 20, train_crop='resized', crop_area=(1.0, 1.0))
  assert (drawn == GOLDEN['centers'][name]).all()


@pytest.mark.slow
@pytest.mark.parametrize('crop', ['resized', 'tensorflow', 'random'])
def test_windows_are_inside_of_images_of_any_size(crop):
  for shape in ((1, 1), (1, 40), (3, 1), (8, 8)):
    for ratio in ((3 / 4, 4 / 3), (4.0, 5.0), (0.2, 0.25)):
      drawn = windows(shape, 100, train_crop=crop, crop_ratio=ratio)
      begin, size = drawn[:, :2], drawn[:, 2:]
      assert (begin >= 0).all() and (size >= 1).all()
      assert (begin + size <= shape).all()


def test_every_place_is_as_likely():
  drawn = windows((1, 8), 8000, train_crop='resized', crop_area=(0.125, 0.125))
  assert (drawn[:, 2:] == 1).all()
  counts = np.bincount(drawn[:, 1], minlength=8)
  assert counts.shape == (8,) and np.abs(counts - 1000).max() < 120


def test_windows_depend_on_seed_and_position_alone():
  data = defaults.get_config().data
  draw = lambda *seed: tuple(
    np.concatenate(
      crops.sample(tf.constant((90, 70, 3)), tf.constant(seed, tf.int64), data)
    )
  )
  assert draw(1, 2) == draw(1, 2)
  assert len({draw(1, 2), draw(2, 1), draw(1, 3), draw(2, 2)}) == 4


@pytest.mark.parametrize('crop', ['tensorflow', 'random'])
def test_crops_cover_a_part_of_a_box(crop):
  def least_covered(**data):
    box = (0.0, 0.0, 0.1, 0.1)  # the first 10×10 pixels of 100×100
    drawn = windows(
      (100, 100), 500, tf.constant([box]), train_crop=crop, **data
    )
    row, column, height, width = drawn.T
    covered = np.clip(10 - row, 0, None) * np.clip(10 - column, 0, None)
    assert (height >= 10).all() and (width >= 10).all()
    chosen = height * width < 100**2  # the others are failures
    assert chosen.mean() > 0.3
    return covered[chosen].min() / 100

  assert 0.1 <= least_covered() < 0.2
  if crop == 'tensorflow':
    assert 0.5 <= least_covered(min_object_covered=0.5) < 0.6


def test_random_draws_what_earlier_versions_drew():
  """Recorded before the other names were added."""
  drawn = windows((375, 500), 6, train_crop='random').tolist()
  expected = [
    [48, 190, 319, 276],
    [52, 114, 273, 275],
    [0, 140, 211, 266],
    [0, 23, 374, 449],
    [78, 111, 281, 251],
    [24, 107, 299, 278],
  ]
  assert drawn == expected
  boxes = tf.constant([[0.1, 0.2, 0.3, 0.4]])
  expected[0] = [61, 174, 233, 200]  # the first one missed the box
  drawn = windows((375, 500), 6, boxes, train_crop='random').tolist()
  assert drawn == expected
  tall = windows((500, 100), 6, train_crop='random', crop_area=(0.7, 1.0))
  assert (tall == [0, 0, 500, 100]).all()
