"""Optimizers, with masks and rates by parameter path."""

import math

import jax
import optax

from inception_jax import trees
from inception_jax.config import validation


def make_optimizer(
  options,
  rate: optax.Schedule,
  weight_decay: float,
  freeze: tuple[str, ...],
  earlier: tuple[tuple[str, ...], ...] | None = None,
) -> optax.GradientTransformation:
  """Clipping, weight decay, the optimizer, rates by path, frozen parameters.

  RMSProp is TensorFlow's: the mean square starts at 1, ε is inside the square
  root, and the rate is inside the momentum buffer. For RMSProp and SGD, weight
  decay is added to the gradient (coupled: L2) unless `decoupled_decay`; then,
  and always for AdamW, LAMB and Lion, it is subtracted from the weights, times
  the rate.

  Args:
    options: `config.optimizer`.
    rate: step → learning rate.
    weight_decay: of the parameters that `options.decay_on` matches.
    freeze: `config.fine_tune.freeze`.
    earlier: with gradual unfreezing, `freeze` of each earlier phase. What a
      phase unfreezes gets statistics of its own, with a step counter for Adam's
      bias correction; gradients are clipped together.
  """
  clip = []
  if options.clip_value:
    clip.append(optax.clip(options.clip_value))
  if options.clip_norm:
    clip.append(optax.clip_by_global_norm(options.clip_norm))
  decay = {'weight_decay': weight_decay, 'mask': _mask(options.decay_on)}
  rule = OPTIMIZERS[options.name](options, rate, **decay)
  chain = optax.chain(*(clip if earlier is None else []), *rule)
  if options.rates:
    chain = optax.chain(chain, _scale_by_path(options.rates))
  if earlier is not None:
    groups = _by_phase(chain, (*earlier, freeze))
    return optax.chain(*clip, groups)
  return _by_phase(chain, (freeze,)) if freeze else chain


def _by_phase(chain, freezes) -> optax.GradientTransformation:
  """Applies `chain` apart to what is first trained in each of the phases."""
  groups = ['trained', *(f'trained_{i}' for i in range(1, len(freezes)))]

  def group(name: str) -> str:
    for label, freeze in zip(groups, freezes, strict=True):
      if not trees.is_frozen(name, freeze):
        return label
    return 'frozen'

  # Frozen parameters have no statistics in the optimizer's state.
  return optax.partition(
    {**dict.fromkeys(groups, chain), 'frozen': optax.set_to_zero()},
    lambda params: trees.map_names(group, params),
  )


def _rmsprop(options, rate, **decay):
  scaling = optax.rmsprop(
    rate,
    decay=options.decay,
    eps=options.epsilon or 1.0,  # TensorFlow's, as in the Inception papers
    initial_scale=1.0,
    momentum=options.momentum,
    nesterov=options.nesterov,
  )
  return _add_decay(scaling, options, rate, **decay)


def _sgd(options, rate, **decay):
  scaling = optax.sgd(rate, options.momentum, options.nesterov)
  return _add_decay(scaling, options, rate, **decay)


def _add_decay(scaling, options, rate, weight_decay: float, mask):
  # Before the scaling, decay is part of the gradient; after it, separate.
  if options.decoupled_decay:
    decay = lambda step: -rate(step) * weight_decay
    return [scaling, optax.add_decayed_weights(decay, mask)]
  return [optax.add_decayed_weights(weight_decay, mask), scaling]


# ε and betas that the config leaves open are the authors', as in optax.
def _adamw(options, rate, **decay):
  betas, epsilon = options.betas or (0.9, 0.999), options.epsilon or 1e-8
  nesterov = options.nesterov
  return [optax.adamw(rate, *betas, epsilon, nesterov=nesterov, **decay)]


def _lamb(options, rate, **decay):
  betas, epsilon = options.betas or (0.9, 0.999), options.epsilon or 1e-6
  # As `optax.lamb`, whose trust ratio applies to every parameter.
  trust = optax.masked(optax.scale_by_trust_ratio(), _mask(options.trust_on))
  return [
    optax.chain(
      optax.scale_by_adam(*betas, epsilon),
      optax.add_decayed_weights(**decay),
      trust,
      optax.scale_by_learning_rate(rate),
    )
  ]


def _lion(options, rate, **decay):
  return [optax.lion(rate, *(options.betas or (0.9, 0.99)), **decay)]


# `config.optimizer.name` → (config.optimizer, schedule, weight_decay=, mask=) →
# the transformations to chain. Checkpoints hold their states in this order.
OPTIMIZERS = {
  'rmsprop': _rmsprop,
  'sgd': _sgd,
  'adamw': _adamw,
  'lamb': _lamb,
  'lion': _lion,
}


def _scale_by_path(rates) -> optax.GradientTransformation:
  """Multiplies updates by the factor of the first pattern that matches.

  Every optimizer's update is proportional to the learning rate, so this gives
  each parameter a rate of its own.
  """

  def factor(name: str) -> float:
    for pattern, value in rates:
      if trees.matches(name, pattern):
        return value
    raise AssertionError(f'no rate for {name}')  # `check_patterns` was called

  def update(updates, params=None):
    del params
    factors = trees.map_names(factor, updates)
    return jax.tree.map(lambda u, f: u * f, updates, factors)

  return optax.stateless(update)


def check_patterns(config, params) -> list[str]:
  """Returns a fault for each parameter without a rate and each unused pattern.

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
      ('trust_on', o.trust_on if o.name == 'lamb' else ()),
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
  """Returns the optimizer's state with its schedules at `step`.

  So the learning rate follows the training even if an update is skipped.
  """
  counts = ('ScaleByScheduleState', 'WeightDecaySchedule')
  return optax.tree.set(
    opt_state,
    lambda path, _: getattr(path[-1], 'tuple_name', '') in counts,
    count=step,
  )


def _mask(patterns: tuple[str, ...]):
  """Returns parameters → a tree of booleans, true where a pattern matches."""
  is_in = lambda name: any(trees.matches(name, p) for p in patterns)
  return lambda params: trees.map_names(is_in, params)


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
  """Returns the faults of `optimizer` and `fine_tune.freeze`."""
  faults = []
  o, freeze = config.optimizer, config.fine_tune.freeze
  if not _is_rates(o.rates):
    faults.append(
      f'optimizer.rates={o.rates!r}: expected (glob, factor at least 0) pairs'
    )
  if not all(isinstance(pattern, str) for pattern in freeze):
    faults.append(f'fine_tune.freeze={freeze!r}: expected globs')
  faults += [
    f'optimizer.{key}={o[key]!r}: expected globs'
    for key in ('decay_on', 'trust_on')
    if not all(isinstance(pattern, str) for pattern in o[key])
  ]
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
