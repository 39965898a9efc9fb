"""Mixed precision: dtypes and matmul precision of all layers."""

import jax
import jmp

PRECISIONS = ('float32', 'tensorfloat32', 'bfloat16', 'float16')


def policy(precision: str) -> jmp.Policy:
  """What is computed in what.

  Parameters, BatchNorm's statistics, logits, softmax and loss are float32
  whatever the precision; convolutions and activations are as it says.
  """
  compute = {'tensorfloat32': 'float32'}.get(precision, precision)
  return jmp.get_policy(f'params=float32,compute={compute},output=float32')


def matmul_precision(precision: str) -> jax.lax.Precision | None:
  """How exactly convolutions multiply; None is what two bytes need.

  Left to themselves, GPUs multiply float32 as TF32, with ten bits of mantissa,
  and TPUs as bfloat16, with seven: logits are then off by a thousandth. HIGH is
  TF32 on the ones, and three products of bfloat16 on the others.
  """
  return {
    'float32': jax.lax.Precision.HIGHEST,
    'tensorfloat32': jax.lax.Precision.HIGH,
  }.get(precision)
