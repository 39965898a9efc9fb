"""BatchNorm by the statistics of a part of the batch."""

import flax.linen as nn
import jax


class GroupedBatchNorm(nn.BatchNorm):
  """As if each of `groups` replicas had its part of the batch for itself.

  In training, [B, …] is normalised in groups of B / groups neighbours, each by
  statistics of its own, as in the papers, whose replicas do not exchange them.
  The moving statistics are the mean of those that the replicas would keep.
  Where a device holds one group, no activation leaves it.

  Parameters and statistics are those of `nn.BatchNorm`.

  Attributes:
    groups: how many, a divisor of B.
  """

  groups: int = 1

  def __call__(self, x):
    if self.use_running_average or self.is_initializing():
      return super().__call__(x)
    plain = nn.BatchNorm(
      use_running_average=False,
      momentum=self.momentum,
      epsilon=self.epsilon,
      dtype=self.dtype,
      parent=None,
    )

    def normalise(x):
      return plain.apply(self.variables, x, mutable=['batch_stats'])

    grouped = x.reshape(self.groups, -1, *x.shape[1:])
    y, updates = jax.vmap(normalise)(grouped)
    for name, value in updates['batch_stats'].items():
      self.put_variable('batch_stats', name, value.mean(axis=0))
    return y.reshape(x.shape)
