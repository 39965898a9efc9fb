"""The function that a training step differentiates, and its gradient."""

import jax
import jax.numpy as jnp

from inception_jax.models.kernels import convolution
from inception_jax.training import losses


def make_objective(config, model, class_weights=None):
  """Returns the function that is differentiated.

  Args:
    config: the whole config; gives the loss, its label smoothing and the
      weight of the auxiliary head.
    model: the network.
    class_weights: float32 [N], see `losses.cross_entropy`; None: all are 1.

  Returns:
    (loss_scale, params, batch_stats, images, targets, key) → (scaled mean
    loss, (loss [B], logits [B, N], updated batch_stats)).
  """
  loss_fn = losses.make_loss(config, class_weights)

  def forward(variables, images, key):
    return model.apply(
      variables,
      images,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': key},
    )

  if config.remat:
    forward = jax.checkpoint(forward, policy=_is_saveable)

  def objective(loss_scale, params, batch_stats, images, targets, key):
    (logits, aux_logits), updates = forward(
      {'params': params, 'batch_stats': batch_stats}, images, key
    )
    loss = loss_fn(logits, targets)
    total = jnp.mean(loss)
    if aux_logits is not None:
      aux_loss = loss_fn(aux_logits, targets)
      total += config.aux_loss_weight * jnp.mean(aux_loss)
    return loss_scale.scale(total), (loss, logits, updates['batch_stats'])

  return objective


def accumulate_gradients(grad_fn, parts: int):
  """Returns a `grad_fn` that adds the gradients of `parts` of the batch.

  Part i has the images whose index is i modulo `parts`: the same images on any
  number of devices, and none moves to another device. Each part is normalized
  by its own statistics; the moving statistics pass from part to part.

  Args:
    grad_fn: (params, batch_stats, images, targets, key) → (gradient of a mean,
      (loss [B], logits [B, N], batch_stats)).
    parts: a divisor of B.
  """

  def split(x):
    return x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1)

  def join(x):
    return x.swapaxes(0, 1).reshape(-1, *x.shape[2:])

  def accumulated(params, batch_stats, images, targets, key):
    def add_part(carry, part):
      total, batch_stats = carry
      grads, (loss, logits, batch_stats) = grad_fn(params, batch_stats, *part)
      total = jax.tree.map(lambda t, g: t + g / parts, total, grads)
      return (total, batch_stats), (loss, logits)

    initial = jax.tree.map(jnp.zeros_like, params), batch_stats
    rows = split(images), split(targets), jax.random.split(key, parts)
    (grads, batch_stats), outputs = jax.lax.scan(add_part, initial, rows)
    return grads, (*map(join, outputs), batch_stats)

  return accumulated


def _is_saveable(primitive, *args, **params) -> bool:
  """The policy of `config.remat`: which outputs of the forward pass are stored.

  Stored are the outputs of convolutions, which take most of the time, and
  BatchNorm's sums, which are small and would be all-reduced again.
  """
  named = jax.checkpoint_policies.save_only_these_names(
    convolution.CHECKPOINT_NAME
  )
  is_sum = primitive is jax.lax.reduce_sum_p
  return is_sum or named(primitive, *args, **params)
