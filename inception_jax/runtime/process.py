"""This process among those of a run."""

import jax


def is_primary() -> bool:
  """Returns whether this is process 0.

  A process that has not called jax.distributed.initialize is alone, so that
  commands that need no device start no backend here.
  """
  return not jax.distributed.is_initialized() or jax.process_index() == 0
