"""How many threads of the host read and decode images."""

import math
import os

from inception_jax.data.lazy import tf

# Whole batches that are ready. tf.data's own choice grew to 19 while steps took
# long, which are 5 GB of 1,024 images of 299×299.
BATCHES_AHEAD = 4


def num_parallel_calls(workers: int) -> int:
  """Returns how many images are read and decoded in parallel.

  With one per thread, threads wait for their next image, which costs a tenth of
  the throughput. More than four per thread gained nothing.

  Args:
    workers: `config.data.workers`.
  """
  return 4 * (workers or _cores())


def options(workers: int, waiting: int = 0):
  """Returns tf.data's options.

  Args:
    workers: `config.data.workers`.
    waiting: more threads, which only wait.
  """
  result = tf.data.Options()
  # In TensorFlow 2.21 the autotuning thread sleeps, in the end a minute, and
  # the end of every evaluation waited for it.
  result.autotune.enabled = False
  if workers or waiting:
    size = (workers or _cores()) + waiting
    result.threading.private_threadpool_size = size
  if workers:
    # An operation would share its work with threads of TensorFlow's own.
    result.threading.max_intra_op_parallelism = 1
  return result


def bytes_ahead(workers: int, batch_size: int, image_bytes: int) -> int:
  """Returns the most bytes of decoded images that wait for the devices.

  Besides BATCHES_AHEAD, one is on its way out of the pipeline,
  `sharding.prefetch_to_devices` holds one, and tf.data fills as many at a time
  as it needs for `num_parallel_calls` images.

  Args:
    workers: `config.data.workers`.
    batch_size: of this process.
    image_bytes: of an image's part of the batch.
  """
  filled = math.ceil(num_parallel_calls(workers) / batch_size)
  return (BATCHES_AHEAD + 2 + filled) * batch_size * image_bytes


def describe(workers: int, batch_size: int, image_bytes: int) -> str:
  """Returns how images are read, for the log; arguments as of `bytes_ahead`."""
  source = 'data.workers' if workers else 'data.workers=0: all cores'
  count = workers or _cores()
  threads = f'{count} thread{"s" * (count != 1)}'
  ahead = bytes_ahead(workers, batch_size, image_bytes) / 1e6
  return (
    f'{threads} ({source}) on {_cores()} cores, at most {ahead:,.1f} MB ahead'
  )


def _cores() -> int:
  return len(os.sched_getaffinity(0))
