"""Prefetching of batches onto the devices."""

import threading

import numpy as np
import pytest

from inception_jax.distributed import sharding

SECONDS = 60  # timeout for another thread


class Batches:
  """Numbered batches; sets an event when each is read."""

  def __init__(self, number):
    self.number = number
    self.begun = [threading.Event() for _ in range(number + 1)]

  def __iter__(self):
    for i in range(self.number):
      self.begun[i].set()
      yield {'label': np.full(8, i, np.int32)}
    self.begun[-1].set()
    raise OSError('the disk is gone')


def test_next_batch_is_read_ahead():
  batches = Batches(3)
  arrays = sharding.prefetch_to_devices(sharding.make_mesh(), iter(batches))
  assert batches.begun[0].wait(SECONDS)
  assert not batches.begun[1].is_set()
  for i in range(3):
    batch = next(arrays)
    assert batch['label'].tolist() == [i] * 8
    assert len(batch['label'].devices()) == 8
    assert batches.begun[i + 1].wait(SECONDS)


def test_read_error_is_raised_where_its_batch_is_due():
  arrays = sharding.prefetch_to_devices(sharding.make_mesh(), iter(Batches(2)))
  assert [next(arrays)['label'][0] for _ in range(2)] == [0, 1]
  with pytest.raises(OSError, match='the disk is gone'):
    next(arrays)


def test_all_batches_are_yielded():
  rows = [{'label': np.zeros(8, np.int32)}] * 2
  assert (
    len(list(sharding.prefetch_to_devices(sharding.make_mesh(), iter(rows))))
    == 2
  )


def test_closing_stops_the_reader():
  arrays = sharding.prefetch_to_devices(sharding.make_mesh(), iter(Batches(3)))
  next(arrays)
  arrays.close()
  assert not [t for t in threading.enumerate() if t.name.startswith('batches')]
