"""The loss scale of float16."""

import jax.numpy as jnp
import jmp

from inception_jax.config import validation
from inception_jax.models import precision

_INITIAL_SCALE = 2.0**15  # of a dynamic one: PyTorch's is 2¹⁶, jmp's 2¹⁵


def initial_state(config):
  """Returns `TrainState.loss_scale` of a dynamic loss scale; else None."""
  if config.precision != 'float16' or config.loss_scale:
    return None
  return {
    'scale': jnp.asarray(_INITIAL_SCALE, jnp.float32),
    'counter': jnp.zeros((), jnp.int32),
  }


def make_loss_scale(config, stored) -> jmp.LossScale:
  """Returns the loss scale of a step: none, static, or dynamic.

  A dynamic one (Micikevicius et al. 2018) doubles after 2000 steps without an
  overflow, and halves at each overflow, down to 1.

  Args:
    config: the whole config.
    stored: `TrainState.loss_scale`.
  """
  if config.precision != 'float16':
    return jmp.NoOpLossScale()
  if config.loss_scale:
    return jmp.StaticLossScale(jnp.asarray(config.loss_scale, jnp.float32))
  return jmp.DynamicLossScale(stored['scale'], stored['counter'])


def to_state(scale: jmp.LossScale):
  """Returns `TrainState.loss_scale` of a loss scale; None if it is static."""
  if isinstance(scale, jmp.DynamicLossScale):
    return {'scale': scale.loss_scale, 'counter': scale.counter}
  return None


def check(config) -> list[str]:
  """Returns the faults of `precision` and `loss_scale`."""
  faults = validation.out_of_range(
    config,
    {
      'precision': validation.one_of(precision.PRECISIONS),
      'loss_scale': validation.NOT_NEGATIVE,
    },
  )
  if config.loss_scale and config.precision != 'float16':
    faults.append(
      f'loss_scale={config.loss_scale}: only precision=float16 uses one'
    )
  return faults
