"""Optimizers, learning-rate schedules, and masks by parameter path."""

import re

import jax
import optax

from inception_jax import config as config_lib

OPTIMIZERS = ('rmsprop', 'sgd')
SCHEDULES = ('constant', 'cosine')
# Kernels of convolutions and dense layers; biases and BatchNorm's γ and β are
# not decayed (Google's TPU recipe, and TF-slim's).
DECAYED = r'.*/kernel'


def schedule(config, plan: config_lib.Plan) -> optax.Schedule:
  """Step → learning rate: a linear warm-up, then `schedule.name`."""
  s = config.schedule
  if s.name == 'constant':
    main = optax.constant_schedule(s.learning_rate)
  else:
    main = optax.cosine_decay_schedule(
      s.learning_rate,
      max(1, plan.total - plan.warmup),
      s.end_learning_rate / s.learning_rate,
    )
  if not plan.warmup:
    return main
  warmup = optax.linear_schedule(
    s.init_learning_rate, s.learning_rate, plan.warmup
  )
  return optax.join_schedules([warmup, main], [plan.warmup])


def optimizer(config, rate: optax.Schedule) -> optax.GradientTransformation:
  """The optimizer of `config`, with coupled weight decay on kernels.

  RMSProp is TensorFlow's: the mean square starts at 1, ε stands inside the
  square root, and the rate goes inside the momentum buffer.
  """
  o = config.optimizer
  if o.name == 'rmsprop':
    scaling = optax.rmsprop(
      rate,
      decay=o.decay,
      eps=o.epsilon,
      initial_scale=1.0,
      momentum=o.momentum,
      nesterov=o.nesterov,
    )
  else:
    scaling = optax.sgd(rate, momentum=o.momentum, nesterov=o.nesterov)
  # Before the scaling, so that the decay is part of the gradient (coupled).
  decay = optax.add_decayed_weights(config.weight_decay, mask=_decayed)
  return optax.chain(decay, scaling)


def _decayed(params):
  return jax.tree_util.tree_map_with_path(
    lambda path, _: bool(re.fullmatch(DECAYED, _name(path))), params
  )


def _name(path) -> str:
  return jax.tree_util.keystr(path, simple=True, separator='/')


def check(config) -> list[str]:
  """Faults of `optimizer` and `schedule`."""
  return config_lib.out_of_range(
    config,
    {
      'optimizer.name': config_lib.one_of(OPTIMIZERS),
      'optimizer.decay': config_lib.SHARE,
      'optimizer.momentum': config_lib.SHARE,
      'optimizer.epsilon': config_lib.POSITIVE,
      'schedule.name': config_lib.one_of(SCHEDULES),
      'schedule.learning_rate': config_lib.POSITIVE,
      'schedule.init_learning_rate': config_lib.NOT_NEGATIVE,
      'schedule.end_learning_rate': config_lib.NOT_NEGATIVE,
    },
  )
