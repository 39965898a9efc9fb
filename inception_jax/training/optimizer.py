"""Optimizers, and masks by parameter path."""

import math

import jax
import optax

from inception_jax import trees
from inception_jax.config import validation

# ε and betas where the config leaves them open: TensorFlow's RMSProp as the
# Inception papers use it, and optax's (the authors') for the others.
OWN_EPSILON = {'rmsprop': 1.0, 'adamw': 1e-8, 'lamb': 1e-6}

OWN_BETAS = {'adamw': (0.9, 0.999), 'lamb': (0.9, 0.999), 'lion': (0.9, 0.99)}

OPTIMIZERS = ('rmsprop', 'sgd', *OWN_BETAS)


def make_optimizer(
  config, rate: optax.Schedule
) -> optax.GradientTransformation:
  """The optimizer of `config`: clipping, decay, scaling, rates by path.

  RMSProp is TensorFlow's: the mean square starts at 1, ε stands inside the
  square root, and the rate goes inside the momentum buffer. Decay is part of
  the gradient (coupled: L2) for it and for SGD, unless `decoupled_decay`: then,
  as always for AdamW, LAMB and Lion, it is taken off the weights by the rate.
  """
  o = config.optimizer
  chain = []
  if o.clip_value:
    chain.append(optax.clip(o.clip_value))
  if o.clip_norm:
    chain.append(optax.clip_by_global_norm(o.clip_norm))
  if o.name in OWN_BETAS:
    chain.append(_adaptive(config, rate))
  else:
    scaling = _rmsprop(o, rate) if o.name == 'rmsprop' else _sgd(o, rate)
    # Before the scaling it is part of the gradient, after it on its own.
    if o.decoupled_decay:
      taken_off = lambda step: -rate(step) * config.weight_decay
      chain += [scaling, optax.add_decayed_weights(taken_off, _decayed(o))]
    else:
      decay = optax.add_decayed_weights(config.weight_decay, _decayed(o))
      chain += [decay, scaling]
  chain = optax.chain(*chain)
  if o.rates:
    chain = optax.chain(chain, _scaled_by_path(o.rates))
  if freeze := config.fine_tune.freeze:
    # Frozen parameters have no statistics in the optimizer's state, either.
    chain = optax.partition(
      {'trained': chain, 'frozen': optax.set_to_zero()},
      lambda params: trees.map_names(
        lambda name: 'frozen' if trees.is_frozen(name, freeze) else 'trained',
        params,
      ),
    )
  return chain


def _rmsprop(o, rate) -> optax.GradientTransformation:
  return optax.rmsprop(
    rate,
    decay=o.decay,
    eps=o.epsilon or OWN_EPSILON['rmsprop'],
    initial_scale=1.0,
    momentum=o.momentum,
    nesterov=o.nesterov,
  )


def _sgd(o, rate) -> optax.GradientTransformation:
  return optax.sgd(rate, momentum=o.momentum, nesterov=o.nesterov)


def _adaptive(config, rate) -> optax.GradientTransformation:
  o = config.optimizer
  b1, b2 = o.betas or OWN_BETAS[o.name]
  options = {'b1': b1, 'b2': b2, 'mask': _decayed(o)}
  if o.name in OWN_EPSILON:
    options['eps'] = o.epsilon or OWN_EPSILON[o.name]
  if o.name == 'adamw':
    options['nesterov'] = o.nesterov
  make = getattr(optax, o.name)
  return make(rate, weight_decay=config.weight_decay, **options)


def _scaled_by_path(rates) -> optax.GradientTransformation:
  """Multiplies updates by the factor of the first pattern that matches.

  The update of every optimizer is proportional to the learning rate, so this
  is a rate of its own for each parameter.
  """

  def factor(name: str) -> float:
    for pattern, value in rates:
      if trees.matches(name, pattern):
        return value
    raise AssertionError(f'no rate for {name}')  # `uncovered` has checked

  def update(updates, params=None):
    del params
    factors = trees.map_names(factor, updates)
    return jax.tree.map(lambda u, f: u * f, updates, factors)

  return optax.stateless(update)


def check_patterns(config, params) -> list[str]:
  """A fault for each parameter without a rate, and each idle pattern.

  Args:
    config: the whole config.
    params: the parameters, or their shapes.
  """
  leaves = trees.leaf_names(params)
  o, freeze = config.optimizer, config.fine_tune.freeze
  known = lambda glob: any(trees.matches(name, glob) for name in leaves)
  faults = [
    f'fine_tune.freeze: {pattern!r} matches no parameter'
    for pattern in freeze
    if not known(pattern.removeprefix('!'))
  ]
  faults += [
    f'optimizer.{key}: {pattern!r} matches no parameter'
    for key, patterns in (
      ('rates', [pattern for pattern, _ in o.rates]),
      ('decay_on', o.decay_on if config.weight_decay else ()),
    )
    for pattern in patterns
    if not known(pattern)
  ]
  if freeze and all(trees.is_frozen(name, freeze) for name in leaves):
    faults.append(f'fine_tune.freeze={freeze!r}: nothing is left to train')
  if o.rates:
    faults += [
      f'optimizer.rates: no pattern matches {name}; end with ("*", 1.0)'
      for name in leaves
      if not any(trees.matches(name, pattern) for pattern, _ in o.rates)
    ]
  return faults


def with_step(opt_state, step):
  """The state of an optimizer whose schedules stand at `step`.

  One that skipped an update has its rate follow the training nonetheless.
  """
  counts = ('ScaleByScheduleState', 'WeightDecaySchedule')
  return optax.tree.set(
    opt_state,
    lambda path, _: getattr(path[-1], 'tuple_name', '') in counts,
    count=step,
  )


def _decayed(o):
  """Parameters → for each, whether weights decay there."""
  decays = lambda name: any(trees.matches(name, p) for p in o.decay_on)
  return lambda params: trees.map_names(decays, params)


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
  if not all(isinstance(pattern, str) for pattern in o.decay_on):
    faults.append(f'optimizer.decay_on={o.decay_on!r}: expected globs')
  return faults + validation.out_of_range(
    config,
    {
      'optimizer.name': validation.one_of(OPTIMIZERS),
      'optimizer.decay': validation.FRACTION,
      'optimizer.momentum': validation.FRACTION,
      'optimizer.epsilon': validation.NOT_NEGATIVE,
      'optimizer.betas': (
        lambda v: not v or (len(v) == 2 and all(0 <= x < 1 for x in v)),
        '(), or two of at least 0 and below 1',
      ),
      'optimizer.clip_norm': validation.NOT_NEGATIVE,
      'optimizer.clip_value': validation.NOT_NEGATIVE,
    },
  )
