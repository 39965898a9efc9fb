"""A convolution with its BatchNorm, a pool, and what all layers share."""

import dataclasses

import flax.linen as nn
import jax
import jmp

from inception_jax import trees
from inception_jax.models import precision
from inception_jax.models.batch_norm import GroupedBatchNorm
from inception_jax.models.kernels import convolution
from inception_jax.models.kernels import pooling
from inception_jax.models.specs import Conv
from inception_jax.models.specs import Pool

CHANNEL_MULTIPLE = 8

_FLOAT32 = precision.policy('float32')

HE = nn.initializers.variance_scaling(2.0, 'fan_in', 'truncated_normal')


@dataclasses.dataclass(frozen=True)
class LayerOptions:
  """What every layer of a network shares.

  Attributes:
    width: multiplier on every channel count.
    policy: dtypes of parameters, computation and logits.
    products: how exactly convolutions multiply, see `precision.products`.
    bn_momentum: share of the old value in BatchNorm's moving statistics.
    bn_epsilon: added to the variance.
    count_include_pad: whether padded average pools count the padding.
    frozen: patterns, as `config.frozen` takes them; a BatchNorm that they
      match keeps its statistics, and normalises by them in training, too.
    replicas: parts of the batch that BatchNorm normalises on their own.
    folded: whether BatchNorm is part of the convolutions, see `fold.fold`.
    whole_numbers: whether it is to compute in integers of eight bits.
    standard: whether convolutions and pools are what every reader of an
      exported network knows, not what the platform computes fastest.
  """

  width: float = 1.0
  policy: jmp.Policy = _FLOAT32
  products: jax.lax.Precision | None = jax.lax.Precision.HIGHEST
  bn_momentum: float = 0.9997
  bn_epsilon: float = 1e-3
  count_include_pad: bool = False
  frozen: tuple[str, ...] = ()
  replicas: int = 1
  folded: bool = False
  whole_numbers: bool = False
  standard: bool = False

  def channels(self, features: int) -> int:
    """`features` times width, to the nearest multiple of 8, at least 8."""
    if self.width == 1.0:
      return features
    multiple = int(features * self.width / CHANNEL_MULTIPLE + 0.5)
    return max(1, multiple) * CHANNEL_MULTIPLE

  def conv(self, features: int, kernel: tuple[int, int], **kwargs) -> nn.Conv:
    """A convolution that computes as all of them do."""
    return nn.Conv(
      features,
      kernel,
      dtype=self.policy.compute_dtype,
      precision=self.products,
      conv_general_dilated=(
        None if self.standard else convolution.conv_general_dilated
      ),
      **kwargs,
    )

  def batch_norm(self, parent: nn.Module, name: str, train: bool, **kwargs):
    """The BatchNorm called `name` inside `parent`."""
    if self.folded:
      return lambda x: x
    frozen = trees.is_frozen('/'.join((*parent.path, name)), self.frozen)
    grouped = {'groups': self.replicas} if self.replicas > 1 else {}
    make = GroupedBatchNorm if grouped else nn.BatchNorm
    return make(
      **grouped,
      **{
        'use_running_average': frozen or not train,
        'momentum': self.bn_momentum,
        'epsilon': self.bn_epsilon,
        'dtype': self.policy.compute_dtype,
        'name': name,
        **kwargs,
      },
    )


class ConvBN(nn.Module):
  """`Conv` as a module. [B, H, W, C] → [B, H', W', features], as computed.

  Attributes:
    spec: the convolution.
    options: see `Options`.
    pool: applied to what the convolution gives.
  """

  spec: Conv
  options: LayerOptions
  pool: Pool | None = None

  @nn.compact
  def __call__(self, x, train: bool, convolved=None):
    spec, options = self.spec, self.options
    narrow = nn.initializers.truncated_normal(spec.stddev)
    if convolved is not None:
      x = convolved  # x by the kernel of this, see `MixedBlock`
    else:
      x = options.conv(
        options.channels(spec.features),
        spec.kernel,
        strides=spec.strides,
        padding=spec.padding,
        use_bias=options.folded,
        kernel_init=narrow if spec.stddev else HE,
        name='conv',
      )(x)
    if self.pool:
      x = pool(x, self.pool, options)
    if spec.bare:
      return x
    return nn.relu(options.batch_norm(self, 'bn', train)(x))


def pool(x, spec: Pool, options: LayerOptions):
  """Applies `spec` to [B, H, W, C]."""
  if spec.kind == 'max' and not options.standard:
    return pooling.max_pool(x, spec.size, spec.strides, spec.padding)
  # By name: jax2onnx takes all but the first only so.
  shared = {
    'window_shape': (spec.size,) * 2,
    'strides': (spec.strides,) * 2,
    'padding': spec.padding,
  }
  if spec.kind == 'max':
    return nn.max_pool(x, **shared)
  return nn.avg_pool(x, **shared, count_include_pad=options.count_include_pad)
