"""How many threads of the host read and decode images."""

import os

from inception_jax.data.lazy import tf


def num_parallel_calls(workers: int) -> int:
  """Returns how many images are read and decoded in parallel.

  With one per thread, threads wait for their next image, which costs a tenth of
  the throughput. More than four per thread gained nothing.

  Args:
    workers: `config.data.workers`.
  """
  return 4 * (workers or _cores())


def options(workers: int):
  """Returns tf.data's options for `config.data.workers`."""
  result = tf.data.Options()
  # In TensorFlow 2.21 the autotuning thread sleeps, in the end a minute, and
  # the end of every evaluation waited for it.
  result.autotune.enabled = False
  if workers:
    result.threading.private_threadpool_size = workers
    # An operation would share its work with threads of TensorFlow's own.
    result.threading.max_intra_op_parallelism = 1
  return result


def describe(workers: int) -> str:
  """Returns '8 threads (data.workers) on 64 cores', for the log."""
  source = 'data.workers' if workers else 'data.workers=0: all cores'
  count = workers or _cores()
  threads = f'{count} thread{"s" * (count != 1)}'
  return f'{threads} ({source}) on {_cores()} cores'


def _cores() -> int:
  return len(os.sched_getaffinity(0))
