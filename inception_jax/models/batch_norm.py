"""BatchNorm with separate statistics for each part of the batch."""

import math
import re

import flax.linen as nn
import jax

from inception_jax.errors import UserError

# `config.batch_norm` where it is not 'global' or 'replica'.
_IMAGES = re.compile(r'([1-9]\d*) images?')

# Weight of the initial moving statistics that hardly changes an evaluation.
_COLD = 0.05


def is_setting(value: str) -> bool:
  """Returns whether `value` is valid as `config.batch_norm`."""
  return value in ('global', 'replica') or bool(_IMAGES.fullmatch(value))


def groups(value: str, batch: int, devices: int) -> int:
  """Returns the number of parts of a batch with statistics of their own.

  Args:
    value: `config.batch_norm`.
    batch: number of images that a forward pass computes, on all devices.
    devices: each has as many of them.

  Raises:
    UserError: the batch, or a device's part of it, is no multiple of '32
      images'.
  """
  if not (match := _IMAGES.fullmatch(value)):
    return devices if value == 'replica' else 1
  if batch % (int(match[1]) * devices):
    raise UserError(
      f'batch_norm={value!r}: each of {devices} devices has '
      f'{batch / devices:g} images, which is no multiple of {match[1]}'
    )
  return batch // int(match[1])


def cold_statistics(config, step: int) -> str:
  """Returns a line of advice if moving statistics are mostly initial values.

  An evaluation uses them in place of the batch's. After n updates, the initial
  mean of 0 and variance of 1 have the weight momentum**n.

  Args:
    config: the whole config; '' for one that fine-tunes.
    step: steps done.
  """
  momentum = config.model.bn_momentum
  updates = step * config.gradient_accumulation
  if config.fine_tune.checkpoint or momentum**updates <= _COLD:
    return ''
  needed = math.ceil(
    math.log(_COLD) / math.log(momentum) / config.gradient_accumulation
  )
  return (
    f"BatchNorm's moving statistics are still {momentum**updates:.1%} their "
    f'initial values after step {step}: expect poor scores and a large loss '
    f'before step {needed}, where this is {_COLD:.0%}; a short training needs '
    f'a lower --config.model.bn_momentum than {momentum:g}'
  )


class GroupedBatchNorm(nn.BatchNorm):
  """BatchNorm per group of the batch, as with replicas that do not communicate.

  In training, [B, …] is normalized in groups of B / groups consecutive rows,
  each with its own statistics, as in the papers, whose replicas do not exchange
  them. The moving statistics are the mean over the groups. If each device holds
  one group, activations are not communicated.

  Parameters and statistics have the names and shapes of `nn.BatchNorm`'s.

  Attributes:
    groups: number of groups, a divisor of B.
  """

  groups: int = 1

  def __call__(self, x):
    if self.use_running_average or self.is_initializing():
      return super().__call__(x)
    batch_norm = nn.BatchNorm(
      use_running_average=False,
      momentum=self.momentum,
      epsilon=self.epsilon,
      dtype=self.dtype,
      parent=None,
    )

    def normalize(x):
      return batch_norm.apply(self.variables, x, mutable=['batch_stats'])

    grouped = x.reshape(self.groups, -1, *x.shape[1:])
    y, updates = jax.vmap(normalize)(grouped)
    for name, value in updates['batch_stats'].items():
      self.put_variable('batch_stats', name, value.mean(axis=0))
    return y.reshape(x.shape)
