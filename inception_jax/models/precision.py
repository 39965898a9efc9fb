"""Mixed precision: dtypes and matmul precision of all layers."""

import jax
import jmp

PRECISIONS = ('float32', 'tensorfloat32', 'bfloat16', 'float16')


def policy(precision: str) -> jmp.Policy:
  """Returns the dtypes of parameters, computation and logits.

  `precision` is the dtype of convolutions and activations. Parameters,
  BatchNorm's statistics, logits, softmax and loss are always float32.
  """
  compute = {'tensorfloat32': 'float32'}.get(precision, precision)
  return jmp.get_policy(f'params=float32,compute={compute},output=float32')


def matmul_precision(precision: str) -> jax.lax.Precision | None:
  """Returns the precision of float32 products; None for 16-bit dtypes.

  By default, XLA multiplies float32 as TF32 on GPUs (10 bits of mantissa) and
  as bfloat16 on TPUs (7 bits), with relative errors of 1e-3 in the logits. HIGH
  is TF32 on GPUs and three bfloat16 products on TPUs.
  """
  return {
    'float32': jax.lax.Precision.HIGHEST,
    'tensorfloat32': jax.lax.Precision.HIGH,
  }.get(precision)
