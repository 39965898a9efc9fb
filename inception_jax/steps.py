"""The training and evaluation steps, pure functions of state and batch."""

import jax
import jax.numpy as jnp
import optax

from inception_jax.data import augment
from inception_jax.state import TrainState


def cross_entropy(logits, targets, smoothing: float):
  """Softmax cross-entropy [B] of float32 logits and distributions [B, N].

  Smoothing is TensorFlow's: of a label's target, `1 - s + s / N` is on the
  label and `s / N` elsewhere.
  """
  targets = optax.smooth_labels(targets, smoothing)
  return optax.softmax_cross_entropy(logits, targets)


def hits(logits, labels, k: int):
  """Whether the label is among the k highest logits: bool [B].

  Among equal logits the lower class counts as higher, as in `argmax`, so
  that top-1 is argmax's. A NaN among the logits makes a miss.
  """
  own = jnp.take_along_axis(logits, labels[:, None], axis=-1)
  earlier = jnp.arange(logits.shape[-1]) < labels[:, None]
  above = (logits > own) | ((logits == own) & earlier)
  return (jnp.sum(above, axis=-1) < k) & ~jnp.isnan(logits).any(axis=-1)


def sums(loss, logits, labels, mask):
  """Sums over the batch, and their count: divided once, when printed."""
  mask = mask.astype(jnp.float32)
  # `where`, since 0 × NaN of a padding row would be NaN.
  return {
    'loss': jnp.sum(jnp.where(mask > 0, loss, 0.0)),
    'top1': jnp.sum(hits(logits, labels, 1) * mask),
    'top5': jnp.sum(hits(logits, labels, 5) * mask),
    'count': jnp.sum(mask),
  }


def ema_decay(decay: float, step):
  """`min(decay, (1 + t) / (10 + t))`, TF's `num_updates` ramp."""
  t = step.astype(jnp.float32)
  return jnp.minimum(decay, (1.0 + t) / (10.0 + t))


def make_train_step(config, model, tx: optax.GradientTransformation, rate):
  """Returns `(state, batch) → (state, metrics)`.

  Args:
    config: the whole config.
    model: the network.
    tx: the optimizer.
    rate: step → learning rate, for the metrics.

  Returns:
    A function of a TrainState and a batch {'image': uint8 [B, S, S, C],
    'label': int32 [B]}. Its metrics are float32 scalars: `sums` of the batch,
    where `loss` is the main head's, smoothed; 'learning_rate'; 'grad_norm'.
  """

  def train_step(state: TrainState, batch):
    key = jax.random.fold_in(jax.random.key(config.seed), state.step)
    augment_key, dropout_key = jax.random.split(key)
    images, targets = augment.train_batch(
      augment_key, batch, config.data, model.num_classes
    )
    # Of two images that are mixed, the one there is more of.
    labels = jnp.argmax(targets, axis=-1)

    def loss_fn(params):
      (logits, aux_logits), updates = model.apply(
        {'params': params, 'batch_stats': state.batch_stats},
        images,
        train=True,
        mutable=['batch_stats'],
        rngs={'dropout': dropout_key},
      )
      loss = cross_entropy(logits, targets, config.label_smoothing)
      objective = jnp.mean(loss)
      if aux_logits is not None:
        aux_loss = cross_entropy(aux_logits, targets, config.label_smoothing)
        objective += config.aux_loss_weight * jnp.mean(aux_loss)
      return objective, (loss, logits, updates['batch_stats'])

    grad_fn = jax.grad(loss_fn, has_aux=True)
    grads, (loss, logits, batch_stats) = grad_fn(state.params)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    ema = state.ema
    if ema is not None:
      ema = optax.incremental_update(
        {'params': params, 'batch_stats': batch_stats},
        ema,
        1.0 - ema_decay(config.ema_decay, state.step),
      )
    metrics = sums(loss, logits, labels, jnp.ones_like(labels))
    metrics['learning_rate'] = jnp.asarray(rate(state.step), jnp.float32)
    metrics['grad_norm'] = optax.tree.norm(grads)
    state = state.replace(
      step=state.step + 1,
      params=params,
      batch_stats=batch_stats,
      opt_state=opt_state,
      ema=ema,
    )
    return state, metrics

  return train_step


def make_eval_step(config, model):
  """Returns `(variables, batch) → sums`; the loss is without smoothing.

  The batch is {'image', 'label', 'mask'}; rows whose mask is 0 do not count.
  """

  def eval_step(variables, batch):
    images = augment.normalise(batch['image'], config.data)
    logits, _ = model.apply(variables, images)
    targets = jax.nn.one_hot(batch['label'], model.num_classes)
    loss = cross_entropy(logits, targets, 0.0)
    return sums(loss, logits, batch['label'], batch['mask'])

  return eval_step
