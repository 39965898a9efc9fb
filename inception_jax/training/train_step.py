"""The training step, a pure function of state and batch."""

import jax
import jax.numpy as jnp
import jmp
import optax

from inception_jax import metrics as metrics_lib
from inception_jax import trees
from inception_jax.data.augment import transforms
from inception_jax.training import growth
from inception_jax.training import loss_scale as loss_scale_lib
from inception_jax.training import objective as objective_lib
from inception_jax.training import optimizer
from inception_jax.training.train_state import TrainState


def make_train_step(
  config,
  model,
  tx: optax.GradientTransformation,
  rate,
  image_size: int,
  class_weights=None,
):
  """Returns `(state, batch) → (state, metrics)`.

  Args:
    config: the whole config.
    model: the network.
    tx: the optimizer.
    rate: step → learning rate, for the metrics.
    image_size: to which the augmented images are resized.
    class_weights: float32 [N], of the classes in the loss; None: all are 1.

  Returns:
    A function of a TrainState and a batch {'image': uint8 [B, S, S, C], or
    'features': float32 [B, C], pooled ones of cached images; 'label': int32
    [B]}. Its metrics are `metrics.sums` of the batch, where
    `loss` is the main head's, with label smoothing and class weights;
    'learning_rate', 'grad_norm' and 'param_norm', float32 scalars; 'norms', see
    `layer_norms`. Frozen parameters get no gradient and count in no norm; the
    layers before the first trained one only run forward. A float16 update whose
    gradients overflow is skipped: only the step counters and the loss scale
    change, 'skipped' is 1 and the batch is not counted. 'loss_scale' is the
    scale that the step used.
  """
  objective = objective_lib.make_objective(config, model, class_weights)
  freeze = tuple(config.fine_tune.freeze)
  is_trained = lambda path: not trees.is_frozen(path, freeze)
  inputs = _make_inputs(config.data, model.num_classes, image_size)

  def train_step(state: TrainState, batch):
    augment_key, dropout_key = keys(config.seed, state.step)
    images, targets = inputs(augment_key, batch)
    loss_scale = loss_scale_lib.make_loss_scale(config, state.loss_scale)
    trained, frozen = trees.split(state.params, is_trained)

    def trained_objective(trained, *args):
      return objective(loss_scale, trees.join(trained, frozen), *args)

    grad_fn = jax.grad(trained_objective, has_aux=True)
    if config.gradient_accumulation > 1:
      grad_fn = objective_lib.accumulate_gradients(
        grad_fn, config.gradient_accumulation
      )
    grads, (loss, logits, batch_stats) = grad_fn(
      trained, state.batch_stats, images, targets, dropout_key
    )
    # First, since RMSProp's ε makes the update depend on the gradient's scale.
    grads = loss_scale.unscale(grads)
    updated = apply_gradients(state, grads, batch_stats, tx, config.ema_decay)
    trained, _ = trees.split(updated.params, is_trained)
    norms = layer_norms(grads, trained, batch_stats)
    metrics = {
      'learning_rate': jnp.asarray(rate(state.step), jnp.float32),
      'grad_norm': jnp.linalg.norm(norms['grad_norms']),
      'param_norm': jnp.linalg.norm(norms['param_norms']),
      'norms': norms,
    }
    # Of two images that are mixed, the label with the larger weight.
    labels = jnp.argmax(targets, axis=-1)
    counted = jnp.ones_like(labels)
    if config.precision == 'float16':
      # Float16 bounds each gradient, so that no norm of finite ones overflows.
      # Of `jmp.all_finite`, XLA copies hundreds of operations into each of the
      # hundreds of fusions that read the result, and compiles for minutes.
      finite = jnp.isfinite(metrics['grad_norm'])
      updated = skip_overflow(state, updated, loss_scale, finite)
      counted *= finite
      metrics['skipped'] = 1.0 - finite
      metrics['loss_scale'] = jnp.asarray(loss_scale.loss_scale)
    metrics.update(metrics_lib.sums(loss, logits, labels, counted))
    return updated, metrics

  return train_step


def keys(seed: int, step) -> tuple[jax.Array, jax.Array]:
  """Returns the keys of a step's augmentation and dropout."""
  key = jax.random.fold_in(jax.random.key(seed), step)
  augment_key, dropout_key = jax.random.split(key)
  return augment_key, dropout_key


def _make_inputs(data, num_classes: int, image_size: int):
  """Returns `(key, batch) → (images or pooled features, targets)`."""

  def inputs(key, batch):
    if 'features' in batch:
      targets = jax.nn.one_hot(batch['label'], num_classes)
      return batch['features'], targets
    images, targets = transforms.train_batch(key, batch, data, num_classes)
    return growth.resize(images, image_size), targets

  return inputs


def apply_gradients(
  state: TrainState, grads, batch_stats, tx, decay: float
) -> TrainState:
  """Returns the state after the optimizer's update and the moving average's.

  Args:
    state: before the step.
    grads: of its parameters, divided by the loss scale; None for frozen ones,
      which keep their values.
    batch_stats: after the forward pass.
    tx: the optimizer.
    decay: of the moving average of weights and BatchNorm statistics.
  """

  def unless_frozen(new, old):
    return jax.tree.map(
      lambda grad, new, old: old if grad is None else new,
      *(grads, new, old),
      is_leaf=lambda x: x is None,
    )

  zeros = jax.tree.map(jnp.zeros_like, state.params)
  updates, opt_state = tx.update(
    unless_frozen(grads, zeros), state.opt_state, state.params
  )
  params = optax.apply_updates(state.params, updates)
  params = unless_frozen(params, state.params)
  ema = state.ema
  if ema is not None:
    ema = optax.incremental_update(
      {'params': params, 'batch_stats': batch_stats},
      ema,
      1.0 - ema_decay(decay, state.step),
    )
    ema['params'] = unless_frozen(ema['params'], state.ema['params'])
  return state.replace(
    step=state.step + 1,
    params=params,
    batch_stats=batch_stats,
    opt_state=opt_state,
    ema=ema,
  )


def skip_overflow(
  state: TrainState, updated: TrainState, loss_scale: jmp.LossScale, finite
) -> TrainState:
  """Returns `updated` if the gradients are finite, else `state` one step on.

  The loss scale is adjusted either way, and the learning rate's schedule
  advances with the step.
  """
  skipped = state.replace(
    step=updated.step,
    opt_state=optimizer.with_step(state.opt_state, updated.step),
  )
  return jmp.select_tree(finite, updated, skipped).replace(
    loss_scale=loss_scale_lib.to_state(loss_scale.adjust(finite))
  )


def ema_decay(decay: float, step):
  """`min(decay, (1 + t) / (10 + t))`, TF's `num_updates` ramp."""
  t = step.astype(jnp.float32)
  return jnp.minimum(decay, (1.0 + t) / (10.0 + t))


def layer_norms(grads, params, batch_stats) -> dict[str, jax.Array]:
  """Returns norms that show the state of each layer, and where one diverged.

  Returns:
    'grad_norms' and 'param_norms' of each leaf, [leaves] in JAX's order;
    'stats', the norm of each BatchNorm statistic, to find non-finite ones.
  """
  norms = lambda tree: jnp.stack(
    [optax.tree.norm(x) for x in jax.tree.leaves(tree)]
  )
  return {
    'grad_norms': norms(grads),
    'param_norms': norms(params),
    'stats': norms(batch_stats),
  }
