"""Counts of well-known datasets."""

import pytest

from inception_jax.data.prepare import imagenet
from inception_jax.data.prepare import verify
from inception_jax.data.splits import Indexed
from inception_jax.errors import UserError


def test_counts_are_compared_with_the_published_ones():
  split = lambda size, classes=10: Indexed(size, ('x',) * classes, None)
  whole = {'train': split(50_000), 'test': split(10_000)}
  verify.check_counts('cifar', whole, [])
  verify.check_counts('tfds:cifar10', whole, [])
  verify.check_counts('folder', {'train': split(7)}, [])
  verify.check_counts('tfds:imagenet2012_subset', {'train': split(7)}, [])
  verify.check_counts('tfds:cifar10_corrupted', {'test': split(7)}, [])
  archives = [f'/data/{imagenet.TRAIN}']
  verify.check_counts('folder', {'train': split(1_281_167, 1000)}, archives)
  with pytest.raises(UserError) as caught:
    verify.check_counts('folder', {'train': split(7, 1000)}, archives)
  assert caught.value.faults == (
    'folder: train has 7 images, expected 1281167',
    'if a part is meant: --noverify',
  )
  with pytest.raises(UserError, match='has 10 classes, expected 1000'):
    verify.check_counts(
      'tfds:imagenet2012', {'train': split(1_281_167)}, archives
    )
