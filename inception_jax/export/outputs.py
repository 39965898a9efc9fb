"""The outputs of an exported network, by name; logits are the first."""

import jax
import jax.numpy as jnp

from inception_jax.errors import UserError
from inception_jax.evaluation import features as features_lib
from inception_jax.models import features
from inception_jax.models.network import Inception

LOGITS, PROBABILITIES = 'logits', 'probabilities'


def names(
  model: Inception, end_points: list[str], softmax: bool = False
) -> tuple[str, ...]:
  """Returns the names of the outputs of an exported network.

  Args:
    model: the network.
    end_points: stages of its table, 'pooled' or 'logits'; those beside logits.
    softmax: whether the probabilities are an output.

  Raises:
    UserError: there are no such end points; lists those that there are.
  """
  known = features_lib.end_points(model)
  if unknown := [name for name in end_points if name not in known]:
    raise UserError(
      f'--outputs={",".join(unknown)}: expected some of {", ".join(known)}'
    )
  probabilities = [PROBABILITIES] if softmax else []
  return tuple(dict.fromkeys([LOGITS, *probabilities, *end_points]))


def compute(
  model: Inception, variables, images, outputs: tuple[str, ...]
) -> dict:
  """Returns outputs by name: float32 [B, H, W, C], [B, C] or [B, N]."""
  values = features.features(model, variables, images)
  values[PROBABILITIES] = jax.nn.softmax(values[LOGITS])
  return {name: values[name].astype(jnp.float32) for name in outputs}
