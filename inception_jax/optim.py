"""Optimizers, learning-rate schedules, and masks by parameter path."""

import math
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
  chain = optax.chain(decay, scaling)
  if o.rates:
    chain = optax.chain(chain, _scaled_by_path(o.rates))
  if freeze := config.fine_tune.freeze:
    # Frozen parameters have no statistics in the optimizer's state, either.
    chain = optax.partition(
      {'trained': chain, 'frozen': optax.set_to_zero()},
      lambda params: _by_path(
        lambda name: 'frozen' if config_lib.frozen(name, freeze) else 'trained',
        params,
      ),
    )
  return chain


def _scaled_by_path(rates) -> optax.GradientTransformation:
  """Multiplies updates by the factor of the first pattern that matches.

  The update of either optimizer is proportional to the learning rate, so
  this is a rate of its own for each parameter.
  """

  def factor(name: str) -> float:
    for pattern, value in rates:
      if config_lib.matches(name, pattern):
        return value
    raise AssertionError(f'no rate for {name}')  # `uncovered` has checked

  def update(updates, params=None):
    del params
    factors = _by_path(factor, updates)
    return jax.tree.map(lambda u, f: u * f, updates, factors)

  return optax.stateless(update)


def uncovered(config, params) -> list[str]:
  """A fault for each parameter without a rate, and each idle pattern.

  Args:
    config: the whole config.
    params: the parameters, or their shapes.
  """
  names = jax.tree.leaves(_by_path(lambda name: name, params))
  o, freeze = config.optimizer, config.fine_tune.freeze
  known = lambda glob: any(config_lib.matches(name, glob) for name in names)
  faults = [
    f'fine_tune.freeze: {pattern!r} matches no parameter'
    for pattern in freeze
    if not known(pattern.removeprefix('!'))
  ]
  faults += [
    f'optimizer.rates: {pattern!r} matches no parameter'
    for pattern, _ in o.rates
    if not known(pattern)
  ]
  if freeze and all(config_lib.frozen(name, freeze) for name in names):
    faults.append(f'fine_tune.freeze={freeze!r}: nothing is left to train')
  if o.rates:
    faults += [
      f'optimizer.rates: no pattern matches {name}; end with ("*", 1.0)'
      for name in names
      if not any(config_lib.matches(name, pattern) for pattern, _ in o.rates)
    ]
  return faults


def _decayed(params):
  return _by_path(lambda name: bool(re.fullmatch(DECAYED, name)), params)


def _by_path(function, tree):
  """`function` of each leaf's path, 'mixed_5b/branch0_0/conv/kernel'."""

  def of_leaf(path, _):
    return function(jax.tree_util.keystr(path, simple=True, separator='/'))

  return jax.tree_util.tree_map_with_path(of_leaf, tree)


def _is_rates(value) -> bool:
  return all(
    isinstance(pair, tuple)
    and len(pair) == 2
    and isinstance(pair[0], str)
    and isinstance(pair[1], int | float)
    and 0 <= pair[1] < math.inf
    for pair in value
  )


def check(config) -> list[str]:
  """Faults of `optimizer`, `schedule` and what is frozen."""
  faults = []
  o, freeze = config.optimizer, config.fine_tune.freeze
  if not _is_rates(o.rates):
    faults.append(
      f'optimizer.rates={o.rates!r}: expected (glob, factor at least 0) pairs'
    )
  if not all(isinstance(pattern, str) for pattern in freeze):
    faults.append(f'fine_tune.freeze={freeze!r}: expected globs')
  return faults + config_lib.out_of_range(
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
