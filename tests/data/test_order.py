"""The global order, of indexed and sequential splits."""

import numpy as np
import pytest

from configs import digits
from inception_jax.data import order
from inception_jax.data import pipeline
from inception_jax.data.sources import registry
from inception_jax.models import factory
from tests.support import tfds_sets
from tests.support import timm_golden
from tests.support.tfds_sets import config_of
from tests.support.tfds_sets import numbers_in
from tests.support.tfds_sets import take
from tests.support.tfds_sets import train_batches


@pytest.mark.slow
def test_each_epoch_is_a_new_permutation(shapes_dir):
  config = config_of(shapes_dir)
  seen = numbers_in(train_batches(config), 23)  # 4 epochs of 23
  epochs = [seen[i : i + 23] for i in range(0, 92, 23)]
  assert all(sorted(epoch) == list(range(23)) for epoch in epochs)
  assert len({tuple(epoch) for epoch in epochs}) == 4


@pytest.mark.slow
def test_order_depends_on_the_seed(shapes_dir):
  config = config_of(shapes_dir)
  first = numbers_in(train_batches(config), 5)
  assert first == numbers_in(train_batches(config), 5)
  config.seed = 1
  assert first != numbers_in(train_batches(config), 5)


@pytest.mark.slow
def test_hosts_read_their_rows_of_the_same_batches(shapes_dir):
  config = config_of(shapes_dir)
  whole = take(train_batches(config), 10)
  halves = [
    take(train_batches(config, 0, rows), 10) for rows in (range(2), range(2, 4))
  ]
  for batch, first, second in zip(whole, *halves, strict=True):
    np.testing.assert_array_equal(
      batch['image'], np.concatenate([first['image'], second['image']])
    )


def test_resume_of_an_indexed_source_far_into_training():
  config = factory.resolve(digits.get_config())
  step = 10**9
  (a,) = take(train_batches(config, step), 1)
  b = take(train_batches(config, step - 3), 4)[-1]
  np.testing.assert_array_equal(a['image'], b['image'])


@pytest.mark.slow
@pytest.mark.parametrize('batch_size', [1, 3, 7, 16])
def test_evaluation_reads_every_image_once(shapes_dir, batch_size):
  config = config_of(shapes_dir)
  split = registry.load(config, 'test')
  rows = range(batch_size)
  batches = list(pipeline.eval_batches(split, config.data, batch_size, rows))
  assert len(batches) == order.num_eval_batches(split, batch_size)
  seen = []
  for batch in batches:
    assert batch['image'].shape == (batch_size, 12, 12, 3)
    for image, label, mask in zip(*batch.values(), strict=True):
      if mask:
        seen.append((tfds_sets.number_in_test(image), int(label)))
  assert sorted(seen) == [(i, i % 3) for i in range(7)]


@pytest.mark.slow
def test_evaluation_hosts_together_read_every_image_once(shapes_dir):
  config = config_of(shapes_dir)
  split = registry.load(config, 'test')
  seen = []
  for rows in (range(2), range(2, 4), range(4, 6)):
    for batch in pipeline.eval_batches(split, config.data, 6, rows):
      real = batch['image'][batch['mask'] == 1]
      seen += map(tfds_sets.number_in_test, real)
  assert sorted(seen) == list(range(7))


@pytest.mark.slow
def test_copies_of_an_image_are_consecutive_as_with_timm(shapes_dir):
  """tests/parity/timm_training.py writes timm's order, unshuffled."""
  golden = timm_golden.part('sampler')
  config = config_of(shapes_dir)
  config.data.repeats = golden['repeats']
  count = golden['size'] // config.batch_size
  seen = numbers_in(train_batches(config), count)
  ranks = {number: rank for rank, number in enumerate(dict.fromkeys(seen))}
  assert [ranks[number] for number in seen] == golden['order']


@pytest.mark.slow
def test_with_repeats_each_image_occurs_once_in_so_many_epochs(shapes_dir):
  config = config_of(shapes_dir)
  config.data.repeats = 3
  seen = numbers_in(train_batches(config), 18)[: 3 * 23]  # 3 epochs of 23
  assert sorted(seen) == sorted(3 * [*range(23)])


def test_copies_of_an_image_have_crops_of_their_own():
  config = factory.resolve(digits.get_config())
  config.data.repeats, config.batch_size = 4, 8
  config.data.train_crop, config.data.crop_area = 'random', (0.1, 0.5)
  (batch,) = take(train_batches(config), 1)
  for images in np.split(batch['image'], 2):
    assert len({image.tobytes() for image in images}) > 1


@pytest.mark.slow
@pytest.mark.parametrize('step', [1, 5, 40])
def test_resume_and_hosts_with_repeats(shapes_dir, step):
  config = config_of(shapes_dir)
  config.data.repeats = 3  # no divisor of the batch, nor of 23
  whole = take(train_batches(config), step + 2)[step:]
  halves = [
    take(train_batches(config, step, rows), 2)
    for rows in (range(2), range(2, 4))
  ]
  for batch, first, second in zip(whole, *halves, strict=True):
    np.testing.assert_array_equal(
      batch['image'], np.concatenate([first['image'], second['image']])
    )
