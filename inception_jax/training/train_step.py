"""The training step, a pure function of state and batch."""

import jax
import jax.numpy as jnp
import jmp
import optax

from inception_jax import metrics as metrics_lib
from inception_jax import trees
from inception_jax.data.augment import transforms
from inception_jax.models.kernels import convolution
from inception_jax.training import growth
from inception_jax.training import loss_scale as loss_scale_lib
from inception_jax.training import losses
from inception_jax.training import optimizer
from inception_jax.training.train_state import TrainState


def make_train_step(
  config, model, tx: optax.GradientTransformation, rate, image_size: int
):
  """Returns `(state, batch) → (state, metrics)`.

  Args:
    config: the whole config.
    model: the network.
    tx: the optimizer.
    rate: step → learning rate, for the metrics.
    image_size: to which the augmented images are resized.

  Returns:
    A function of a TrainState and a batch {'image': uint8 [B, S, S, C],
    'label': int32 [B]}. Its metrics are `metrics.sums` of the batch, where
    `loss` is the main head's, with label smoothing; 'learning_rate',
    'grad_norm' and 'param_norm', float32 scalars; and 'norms', see
    `layer_norms`. Frozen parameters get no gradient and count in no norm; the
    layers before the first trained one only run forward. A float16 update whose
    gradients overflow is skipped: only the step counters and the loss scale
    change, 'skipped' is 1 and the batch is not counted. 'loss_scale' is the
    scale that the step used.
  """
  objective = make_objective(config, model)
  freeze = tuple(config.fine_tune.freeze)
  is_trained = lambda path: not trees.is_frozen(path, freeze)

  def train_step(state: TrainState, batch):
    key = jax.random.fold_in(jax.random.key(config.seed), state.step)
    augment_key, dropout_key = jax.random.split(key)
    images, targets = transforms.train_batch(
      augment_key, batch, config.data, model.num_classes
    )
    images = growth.resize(images, image_size)
    loss_scale = loss_scale_lib.make_loss_scale(config, state.loss_scale)
    trained, frozen = trees.split(state.params, is_trained)

    def trained_objective(trained, *args):
      return objective(loss_scale, trees.join(trained, frozen), *args)

    grad_fn = jax.grad(trained_objective, has_aux=True)
    if config.gradient_accumulation > 1:
      grad_fn = accumulate_gradients(grad_fn, config.gradient_accumulation)
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
      finite = jmp.all_finite(grads)
      updated = skip_overflow(state, updated, loss_scale, finite)
      counted *= finite
      metrics['skipped'] = 1.0 - finite
      metrics['loss_scale'] = jnp.asarray(loss_scale.loss_scale)
    metrics.update(metrics_lib.sums(loss, logits, labels, counted))
    return updated, metrics

  return train_step


def make_objective(config, model):
  """Returns the function that is differentiated.

  Args:
    config: the whole config; gives the loss, its label smoothing and the
      weight of the auxiliary head.
    model: the network.

  Returns:
    (loss_scale, params, batch_stats, images, targets, key) → (scaled mean
    loss, (loss [B], logits [B, N], updated batch_stats)).
  """
  loss_fn = losses.make_loss(config)

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
