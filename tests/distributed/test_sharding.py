"""How batches come onto the devices."""

import threading

import numpy as np
import pytest

from inception_jax.distributed import sharding

SECONDS = 60  # to wait for what another thread does at once


class Batches:
  """Numbered batches; says when each is read."""

  def __init__(self, number):
    self.number = number
    self.begun = [threading.Event() for _ in range(number + 1)]

  def __iter__(self):
    for i in range(self.number):
      self.begun[i].set()
      yield {'label': np.full(8, i, np.int32)}
    self.begun[-1].set()
    raise OSError('the disk is gone')


def test_a_batch_is_read_before_it_is_asked_for():
  batches = Batches(3)
  arrays = sharding.on_devices(sharding.make_mesh(), iter(batches))
  assert batches.begun[0].wait(SECONDS)
  assert not batches.begun[1].is_set()
  for i in range(3):
    batch = next(arrays)
    assert batch['label'].tolist() == [i] * 8
    assert len(batch['label'].devices()) == 8
    assert batches.begun[i + 1].wait(SECONDS)


def test_a_fault_of_reading_is_raised_where_its_batch_is_due():
  arrays = sharding.on_devices(sharding.make_mesh(), iter(Batches(2)))
  assert [next(arrays)['label'][0] for _ in range(2)] == [0, 1]
  with pytest.raises(OSError, match='the disk is gone'):
    next(arrays)


def test_batches_end_with_what_is_read():
  rows = [{'label': np.zeros(8, np.int32)}] * 2
  assert len(list(sharding.on_devices(sharding.make_mesh(), iter(rows)))) == 2


def test_nothing_is_read_after_the_caller_has_stopped():
  arrays = sharding.on_devices(sharding.make_mesh(), iter(Batches(3)))
  next(arrays)
  arrays.close()
  assert not [t for t in threading.enumerate() if t.name.startswith('batches')]
