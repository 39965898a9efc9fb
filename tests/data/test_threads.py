"""The threads that read and decode images."""

import os
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from inception_jax.data import pipeline
from inception_jax.data import threads
from inception_jax.data import views
from inception_jax.data.sources import registry
from inception_jax.data.splits import Indexed
from tests.support.pictures import config_of


def test_all_cores_or_as_many_threads_as_workers(monkeypatch):
  monkeypatch.setattr(os, 'sched_getaffinity', lambda _: range(6))
  assert threads.num_parallel_calls(0) == 24
  assert threads.num_parallel_calls(2) == 8
  # Seven batches of 100.
  assert threads.describe(0, 100, 30_000) == (
    '6 threads (data.workers=0: all cores) on 6 cores, at most 21.0 MB ahead'
  )
  # 24 images at a time fill six batches of four.
  assert threads.bytes_ahead(0, 4, 10) == 12 * 4 * 10
  assert threads.describe(1, 100, 30_000) == (
    '1 thread (data.workers) on 6 cores, at most 21.0 MB ahead'
  )


@pytest.mark.slow
@pytest.mark.parametrize('protocol', ['single', '12_crops', '144_crops'])
def test_pixels_are_those_of_the_canvases(pictures, protocol):
  config = config_of(pictures)
  config.data.eval_protocol = protocol
  split = registry.load(config, 'val')
  batch = next(pipeline.eval_batches(split, config.data, 2, range(2)))
  del batch['label'], batch['mask']
  pixels = sum(canvas.nbytes for canvas in batch.values()) / 2 / 3
  assert views.pixels(protocol, config.data.image_size) == pixels


@pytest.mark.slow
def test_no_more_is_read_ahead_than_the_log_says(pictures):
  config = config_of(pictures)
  config.data.workers, size, count = 1, 8, 0
  content = next(pictures.glob('val/*/*')).read_bytes()

  def read(number):
    nonlocal count
    count += 1
    return np.int64(0), content

  def fetch(number):
    label, image = tf.numpy_function(read, [number], [tf.int64, tf.string])
    label.set_shape(())
    image.set_shape(())
    return {'label': label, 'image': image}

  split = Indexed(4096, ('a', 'b'), fetch, str)
  batches = pipeline.eval_batches(split, config.data, size, range(size))
  for taken in range(1, 20):  # tf.data would read more ahead with each wait
    next(batches)
    deadline = time.monotonic() + 0.05
    while time.monotonic() < deadline:
      before = count
      time.sleep(0.005)
      if count > before:
        deadline = time.monotonic() + 0.05
    # There is no prefetch_to_devices.
    assert count <= taken * size + threads.bytes_ahead(1, size, 1) - size


@pytest.mark.parametrize('workers', [1, 2])
def test_no_more_threads_read_than_there_are_workers(pictures, workers):
  config = config_of(pictures)
  config.data.workers = workers
  path = next(pictures.glob('val/*/*'))
  content, seen, together = (
    path.read_bytes(),
    set(),
    threading.Semaphore(workers),
  )

  def read(number):
    seen.add(threading.get_ident())
    assert together.acquire(blocking=False)  # else more than `workers` read
    try:
      time.sleep(0.01)  # others get the interpreter
      return np.int64(number), content
    finally:
      together.release()

  def fetch(number):
    label, image = tf.numpy_function(read, [number], [tf.int64, tf.string])
    label.set_shape(())
    image.set_shape(())
    return {'label': label * 0, 'image': image}

  split = Indexed(64, ('a', 'b'), fetch, str)
  batches = list(pipeline.eval_batches(split, config.data, 8, range(8)))
  assert len(batches) == 8 and 1 <= len(seen) <= workers


@pytest.mark.slow
def test_images_do_not_depend_on_it(pictures):
  config = config_of(pictures)
  split = registry.load(config, 'val')
  found = []
  for workers in (0, 1, 3):
    config.data.workers = workers
    batches = pipeline.train_batches(split, config, 0, range(4))
    found.append([next(batches) for _ in range(3)])
  for other in found[1:]:
    for batch, expected in zip(other, found[0], strict=True):
      np.testing.assert_array_equal(batch['image'], expected['image'])
      np.testing.assert_array_equal(batch['label'], expected['label'])
