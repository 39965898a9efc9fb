"""What TensorFlow takes of this host for reading images."""

import os

from inception_jax.data.lazy import tf


def num_parallel_calls() -> int:
  """Returns how many images are read and decoded in parallel.

  With one per core, threads wait for their next image, which costs a tenth of
  the throughput. More than four per core gained nothing.
  """
  return 4 * len(os.sched_getaffinity(0))


def hide_gpus() -> None:
  """Keeps TensorFlow, which only reads data here, from taking GPU memory."""
  tf.config.set_visible_devices([], 'GPU')
