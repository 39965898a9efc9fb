"""Batch sizes, and prefetching of batches onto the devices."""

import threading

import jax
import numpy as np
import pytest

from inception_jax.distributed import sharding

SECONDS = 60  # timeout for another thread


@pytest.mark.parametrize('devices', [3, 5, 7])
def test_round_up_gives_the_next_multiple_of_the_devices(devices):
  mesh = sharding.make_mesh(jax.devices()[:devices])
  assert sharding.round_up(16, mesh) % devices == 0
  assert 16 <= sharding.round_up(16, mesh) < 16 + devices


def test_batch_must_divide_over_devices_and_accumulation(tiny):
  tiny.gradient_accumulation = 2
  assert sharding.check(tiny, 8) == []
  tiny.gradient_accumulation = 3
  assert sharding.check(tiny, 2) == [
    'batch_size=16 does not divide over 3 times 2 devices; nearest that do: '
    '12, 18'
  ]


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
  others = threading.enumerate()  # of tests before
  arrays = sharding.prefetch_to_devices(sharding.make_mesh(), iter(Batches(3)))
  next(arrays)
  new = lambda: [t for t in threading.enumerate() if t not in others]
  assert any(t.name.startswith('batches') for t in new())
  arrays.close()
  assert not [t for t in new() if t.name.startswith('batches')]
