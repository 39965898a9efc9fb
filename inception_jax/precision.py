"""Mixed precision: one policy for all layers, and the loss scale of float16."""

import jax
import jax.numpy as jnp
import jmp

from inception_jax import config as config_lib

PRECISIONS = ('float32', 'tensorfloat32', 'bfloat16', 'float16')
_FIRST_SCALE = 2.0**15  # of a dynamic one: PyTorch's is 2¹⁶, jmp's 2¹⁵


def policy(precision: str) -> jmp.Policy:
  """What is computed in what.

  Parameters, BatchNorm's statistics, logits, softmax and loss are float32
  whatever the precision; convolutions and activations are as it says.
  """
  compute = {'tensorfloat32': 'float32'}.get(precision, precision)
  return jmp.get_policy(f'params=float32,compute={compute},output=float32')


def products(precision: str) -> jax.lax.Precision | None:
  """How exactly convolutions multiply; None is what two bytes need.

  Left to themselves, GPUs multiply float32 as TF32, with ten bits of mantissa,
  and TPUs as bfloat16, with seven: logits are then off by a thousandth. HIGH is
  TF32 on the ones, and three products of bfloat16 on the others.
  """
  return {
    'float32': jax.lax.Precision.HIGHEST,
    'tensorfloat32': jax.lax.Precision.HIGH,
  }.get(precision)


def first_scale(config):
  """What the state keeps of a dynamic loss scale; None without one."""
  if config.precision != 'float16' or config.loss_scale:
    return None
  return {
    'scale': jnp.asarray(_FIRST_SCALE, jnp.float32),
    'counter': jnp.zeros((), jnp.int32),
  }


def loss_scale(config, stored) -> jmp.LossScale:
  """The loss scale of a step: none, fixed, or dynamic as the state has it.

  A dynamic one (Micikevicius et al. 2018) doubles after 2000 steps without an
  overflow, and halves at each, down to 1.
  """
  if config.precision != 'float16':
    return jmp.NoOpLossScale()
  if config.loss_scale:
    return jmp.StaticLossScale(jnp.asarray(config.loss_scale, jnp.float32))
  return jmp.DynamicLossScale(stored['scale'], stored['counter'])


def kept(scale: jmp.LossScale):
  """What the state keeps of a loss scale; None if it never changes."""
  if isinstance(scale, jmp.DynamicLossScale):
    return {'scale': scale.loss_scale, 'counter': scale.counter}
  return None


def check(config) -> list[str]:
  """Faults of the precision."""
  faults = config_lib.out_of_range(
    config,
    {
      'precision': config_lib.one_of(PRECISIONS),
      'loss_scale': config_lib.NOT_NEGATIVE,
    },
  )
  if config.loss_scale and config.precision != 'float16':
    faults.append(
      f'loss_scale={config.loss_scale}: only --config.precision=float16 has one'
    )
  return faults
