"""Intermediate outputs of a network."""

from flax import traverse_util

from inception_jax.models import network


def features(model: network.Inception, variables, images) -> dict:
  """Returns the output of every stage, the pooled features and the logits.

  Args:
    model: the network.
    variables: {'params', 'batch_stats'}.
    images: normalized, float [B, S, S, C].

  Returns:
    {name: array}: the output [B, H, W, C] of each stage under its name in the
    network's table, such as 'mixed_6e'; 'pooled', float32 [B, C], the global
    average that the classifier reads; 'logits', float32 [B, num_classes],
    or 'pooled' again if the network has no classifier.
    Inside `jax.jit`, unused outputs cost nothing.
  """
  (logits, _), state = model.apply(
    variables, images, mutable=[network.END_POINTS]
  )
  end_points = traverse_util.flatten_dict(state[network.END_POINTS])
  stages = {
    path[-1].removeprefix(network.END_POINT_PREFIX): output
    for path, output in end_points.items()
  }
  return {**stages, 'logits': logits}
