"""The training step, a pure function of state and batch."""

import jax
import jax.numpy as jnp
import jmp
import optax

from inception_jax import metrics as metrics_lib
from inception_jax.data.augment import transforms
from inception_jax.models.kernels import convolution
from inception_jax.training import loss_scale as loss_scale_lib
from inception_jax.training import losses
from inception_jax.training import optimizer
from inception_jax.training.train_state import TrainState


def ema_decay(decay: float, step):
  """`min(decay, (1 + t) / (10 + t))`, TF's `num_updates` ramp."""
  t = step.astype(jnp.float32)
  return jnp.minimum(decay, (1.0 + t) / (10.0 + t))


def _is_saveable(primitive, *args, **params) -> bool:
  """With `config.remat`: of the forward pass, what is not computed again.

  Convolutions take its time. BatchNorm's sums are small, and exchanged.
  """
  named = jax.checkpoint_policies.save_only_these_names(convolution.KEPT)
  is_sum = primitive is jax.lax.reduce_sum_p
  return is_sum or named(primitive, *args, **params)


def make_train_step(config, model, tx: optax.GradientTransformation, rate):
  """Returns `(state, batch) → (state, metrics)`.

  Args:
    config: the whole config.
    model: the network.
    tx: the optimizer.
    rate: step → learning rate, for the metrics.

  Returns:
    A function of a TrainState and a batch {'image': uint8 [B, S, S, C],
    'label': int32 [B]}. Its metrics are float32 scalars: `scoring.sums` of the
    batch, where `loss` is the main head's, smoothed; 'learning_rate';
    'grad_norm'; 'param_norm'; and 'health', see `health`. In float16, where
    gradients overflow, nothing but the step and the loss scale changes:
    'skipped' is 1 and the batch does not count; 'loss_scale' is what it was
    multiplied by.
  """
  loss_of = {
    'cross_entropy': losses.cross_entropy,
    'binary_cross_entropy': losses.binary_cross_entropy,
  }[config.loss]

  def apply(variables, images, key):
    return model.apply(
      variables,
      images,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': key},
    )

  if config.remat:
    apply = jax.checkpoint(apply, policy=_is_saveable)

  def train_step(state: TrainState, batch):
    key = jax.random.fold_in(jax.random.key(config.seed), state.step)
    augment_key, dropout_key = jax.random.split(key)
    images, targets = transforms.train_batch(
      augment_key, batch, config.data, model.num_classes
    )
    # Of two images that are mixed, the one there is more of.
    labels = jnp.argmax(targets, axis=-1)
    loss_scale = loss_scale_lib.make_loss_scale(config, state.loss_scale)

    def loss_fn(params, batch_stats, images, targets, key):
      (logits, aux_logits), updates = apply(
        {'params': params, 'batch_stats': batch_stats}, images, key
      )
      loss = loss_of(logits, targets, config.label_smoothing)
      objective = jnp.mean(loss)
      if aux_logits is not None:
        aux_loss = loss_of(aux_logits, targets, config.label_smoothing)
        objective += config.aux_loss_weight * jnp.mean(aux_loss)
      updated = updates['batch_stats']
      return loss_scale.scale(objective), (loss, logits, updated)

    grad_fn = jax.grad(loss_fn, has_aux=True)
    if config.gradient_accumulation > 1:
      grad_fn = accumulate_gradients(grad_fn, config.gradient_accumulation)
    grads, (loss, logits, batch_stats) = grad_fn(
      state.params, state.batch_stats, images, targets, dropout_key
    )
    # Before the optimizer: RMSProp with its ε depends on the gradient's size.
    grads = loss_scale.unscale(grads)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    ema = state.ema
    if ema is not None:
      ema = optax.incremental_update(
        {'params': params, 'batch_stats': batch_stats},
        ema,
        1.0 - ema_decay(config.ema_decay, state.step),
      )
    measured = layer_norms(grads, params, batch_stats)
    metrics = {
      'learning_rate': jnp.asarray(rate(state.step), jnp.float32),
      'grad_norm': jnp.linalg.norm(measured['grad_norms']),
      'param_norm': jnp.linalg.norm(measured['param_norms']),
      'health': measured,
    }
    after = state.replace(
      step=state.step + 1,
      params=params,
      batch_stats=batch_stats,
      opt_state=opt_state,
      ema=ema,
    )
    counted = jnp.ones_like(labels)
    if config.precision == 'float16':
      sound = jmp.all_finite(grads)
      skipped = state.replace(
        step=after.step,
        opt_state=optimizer.with_step(state.opt_state, after.step),
      )
      after = jmp.select_tree(sound, after, skipped).replace(
        loss_scale=loss_scale_lib.to_state(loss_scale.adjust(sound))
      )
      counted *= sound
      metrics['skipped'] = 1.0 - sound
      metrics['loss_scale'] = jnp.asarray(loss_scale.loss_scale)
    metrics.update(metrics_lib.sums(loss, logits, labels, counted))
    return after, metrics

  return train_step


def accumulate_gradients(grad_fn, parts: int):
  """`grad_fn` over `parts` of the batch, one after the other, as one gradient.

  Part i has every image whose place is i modulo `parts`: the same ones on any
  number of devices, and none leaves its own. A part is normalised by its own
  statistics, and begins with the moving ones that the part before it left.

  Args:
    grad_fn: (params, batch_stats, images, targets, key) → (gradient of a mean,
      (loss [B], logits [B, N], batch_stats)).
    parts: a divisor of B.
  """

  def split(x):
    return x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1)

  def join(x):
    return x.swapaxes(0, 1).reshape(-1, *x.shape[2:])

  def whole(params, batch_stats, images, targets, key):
    def one(carry, part):
      total, batch_stats = carry
      grads, (loss, logits, batch_stats) = grad_fn(params, batch_stats, *part)
      total = jax.tree.map(lambda t, g: t + g / parts, total, grads)
      return (total, batch_stats), (loss, logits)

    begin = jax.tree.map(jnp.zeros_like, params), batch_stats
    rows = split(images), split(targets), jax.random.split(key, parts)
    (grads, batch_stats), outputs = jax.lax.scan(one, begin, rows)
    return grads, (*map(join, outputs), batch_stats)

  return whole


def layer_norms(grads, params, batch_stats) -> dict[str, jax.Array]:
  """What tells where a training went bad, and how its layers are.

  Returns:
    'grad_norms' and 'param_norms' of each leaf, [leaves] in jax's order;
    'stats', a number for each BatchNorm statistic that is finite if it is.
  """
  norms = lambda tree: jnp.stack(
    [optax.tree.norm(x) for x in jax.tree.leaves(tree)]
  )
  return {
    'grad_norms': norms(grads),
    'param_norms': norms(params),
    'stats': norms(batch_stats),
  }
