"""Convolution with BatchNorm, pooling, and the options that layers share."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jmp

from inception_jax import trees
from inception_jax.models import initializers
from inception_jax.models import precision as precision_lib
from inception_jax.models.batch_norm import GroupedBatchNorm
from inception_jax.models.kernels import convolution
from inception_jax.models.kernels import pooling
from inception_jax.models.specs import Conv
from inception_jax.models.specs import Pool

CHANNEL_MULTIPLE = 8
_FLOAT32 = precision_lib.policy('float32')


@dataclasses.dataclass(frozen=True)
class LayerOptions:
  """Options of all layers of a network.

  Attributes:
    width, bn_epsilon, count_include_pad: see `NetworkConfig`.
    policy: dtypes of parameters, computation and logits.
    precision: of convolutions and products, see `precision.matmul_precision`.
    bn_momentum: decay of BatchNorm's moving statistics.
    kernel_init: a key of `initializers.KERNEL_INITS`.
    frozen: path patterns as in `config.fine_tune.freeze`; in training, a
      matching BatchNorm uses its moving statistics and does not update them.
    replicas: parts of the batch that BatchNorm normalizes separately.
    folded: whether BatchNorm is folded into the convolutions, see `fold.fold`.
    int8: whether the network will be quantized to 8-bit integers.
    portable: whether to use standard convolutions and pools, which every reader
      of an exported network supports, not the fastest of the platform.
  """

  width: float = 1.0
  policy: jmp.Policy = _FLOAT32
  precision: jax.lax.Precision | None = jax.lax.Precision.HIGHEST
  bn_momentum: float = 0.9997
  bn_epsilon: float = 1e-3
  kernel_init: str = 'he_normal'
  count_include_pad: bool = False
  frozen: tuple[str, ...] = ()
  replicas: int = 1
  folded: bool = False
  int8: bool = False
  portable: bool = False

  def channels(self, features: int) -> int:
    """Returns features × width, rounded to a multiple of 8, at least 8."""
    if self.width == 1.0:
      return features
    multiple = int(features * self.width / CHANNEL_MULTIPLE + 0.5)
    return max(1, multiple) * CHANNEL_MULTIPLE

  def conv(self, features: int, kernel: tuple[int, int], **kwargs) -> nn.Conv:
    """Returns a convolution with the network's dtype and precision."""
    return nn.Conv(
      features,
      kernel,
      dtype=self.policy.compute_dtype,
      precision=self.precision,
      conv_general_dilated=(
        None if self.portable else convolution.conv_general_dilated
      ),
      **kwargs,
    )

  def biased_pointwise(self, features: int, fan_in: int, name: str) -> nn.Conv:
    """Returns a 1×1 convolution with a bias, for `fan_in` channels."""
    return self.conv(
      features,
      (1, 1),
      kernel_init=initializers.kernel(self.kernel_init),
      bias_init=initializers.bias(self.kernel_init, fan_in),
      name=name,
    )

  def batch_norm(self, parent: nn.Module, name: str, train: bool, **kwargs):
    """Returns the BatchNorm `name` of `parent`, the identity if folded."""
    if self.folded:
      return lambda x: x
    frozen = trees.is_frozen('/'.join((*parent.path, name)), self.frozen)
    make = nn.BatchNorm
    if self.replicas > 1:
      make = functools.partial(GroupedBatchNorm, groups=self.replicas)
    return make(
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
  """The module of a `Conv`: [B, H, W, C] → [B, H', W', features].

  Attributes:
    spec: the convolution.
    options: see `LayerOptions`.
    pool: applied to the output of the convolution, before BatchNorm.
  """

  spec: Conv
  options: LayerOptions
  pool: Pool | None = None

  @nn.compact
  def __call__(self, x, train: bool, convolved=None):
    """Applies it; `convolved` is x after the convolution, if known already."""
    spec, options = self.spec, self.options
    own = spec.stddev and nn.initializers.truncated_normal(spec.stddev)
    if convolved is None:
      convolved = options.conv(
        options.channels(spec.features),
        spec.kernel,
        strides=spec.strides,
        padding=spec.padding,
        use_bias=options.folded,
        kernel_init=initializers.kernel(options.kernel_init, own),
        name='conv',
      )(x)
    x = pool(convolved, self.pool, options) if self.pool else convolved
    if spec.bare:
      return x
    return nn.relu(options.batch_norm(self, 'bn', train)(x))


def pool(x, spec: Pool, options: LayerOptions):
  """Applies a pool: [B, H, W, C] → [B, H', W', C]."""
  if spec.kind == 'max' and not options.portable:
    return pooling.max_pool(x, spec.size, spec.strides, spec.padding)
  # jax2onnx supports these as keyword arguments only.
  shared = {
    'window_shape': (spec.size,) * 2,
    'strides': (spec.strides,) * 2,
    'padding': spec.padding,
  }
  if spec.kind == 'max':
    return nn.max_pool(x, **shared)
  return nn.avg_pool(x, **shared, count_include_pad=options.count_include_pad)
