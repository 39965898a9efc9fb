"""BatchNorm with separate statistics for each part of the batch."""

import flax.linen as nn
import jax


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
