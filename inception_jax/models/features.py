"""Intermediate outputs of a network."""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from flax import traverse_util
import jax

from inception_jax.errors import UserError
from inception_jax.errors import shorten
from inception_jax.models import network

_POOLED, _LOGITS = 'pooled', 'logits'


def features(
  model: network.Inception,
  variables: Mapping[str, Any],
  images: jax.typing.ArrayLike,
  names: Iterable[str] = (),
) -> dict[str, jax.Array]:
  """Returns the output of every stage, the pooled features and the logits.

  Args:
    model: the network.
    variables: {'params', 'batch_stats'}.
    images: normalized, float [B, S, S, C], as `model.card.preprocess` makes
      them.
    names: the outputs to return; (): all. Stages after the last of them, and a
      classifier that is not among them, are not computed.

  Returns:
    {name: array}: the output [B, H, W, C] of each stage under its name in the
    network's table, such as 'mixed_6e'; 'pooled', float32 [B, C], the global
    average that the classifier reads; 'logits', float32 [B, num_classes],
    or 'pooled' again if the network has no classifier.
    Inside `jax.jit`, unused outputs cost nothing.

  Raises:
    UserError: the network has no output of such a name.
  """
  wanted = dict.fromkeys(names)
  stages = [name for name, _ in model.table]
  known = [*stages, _POOLED, _LOGITS]
  if unknown := [name for name in wanted if name not in known]:
    expected = f'expected one of {", ".join(known)}'
    raise UserError(*shorten([f'no output {x!r}: {expected}' for x in unknown]))
  if wanted and _LOGITS not in wanted:
    last = max(map(known.index, wanted)) + 1
    model = model.clone(table=model.table[:last], num_classes=0)
  (logits, _), state = model.apply(
    variables, images, mutable=[network.END_POINTS]
  )
  end_points = traverse_util.flatten_dict(state[network.END_POINTS])
  outputs = {
    path[-1].removeprefix(network.END_POINT_PREFIX): output
    for path, output in end_points.items()
  }
  outputs[_LOGITS] = logits
  return {name: outputs[name] for name in wanted or outputs}
