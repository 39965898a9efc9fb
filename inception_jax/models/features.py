"""What a network sees on its way to the logits."""

from flax import traverse_util

from inception_jax.models import network


def features(model: network.Inception, variables, images) -> dict:
  """What the network sees, stage by stage.

  Args:
    model: the network.
    variables: {'params', 'batch_stats'}.
    images: normalised, float [B, S, S, C].

  Returns:
    {name: array}: the output [B, H, W, C] of every stage by its name in the
    network's table, such as 'mixed_6e'; 'pooled', float32 [B, C], the global
    average that the classifier reads; 'logits', float32 [B, num_classes].
    Inside `jax.jit`, what is not used of it costs nothing.
  """
  (logits, _), seen = model.apply(
    variables, images, mutable=[network.END_POINTS]
  )
  seen = traverse_util.flatten_dict(seen[network.END_POINTS])
  stages = {
    path[-1].removeprefix(network.AFTER): output
    for path, output in seen.items()
  }
  return {**stages, 'logits': logits}
