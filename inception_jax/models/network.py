"""The network: the stages of its table, then its classifiers."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from inception_jax.models import initializers
from inception_jax.models.blocks import stage
from inception_jax.models.card import Card
from inception_jax.models.layers import LayerOptions
from inception_jax.models.specs import Pool
from inception_jax.models.specs import conv
from inception_jax.models.specs import drop_path_rates

# The collection of all stages' outputs; filled where the caller makes it
# mutable.
END_POINTS = 'end_points'
# In linen, a variable and a submodule may not have the same name.
END_POINT_PREFIX = 'after_'
# ε of the head's BatchNorms, MindSpore's Inception-v4's.
HEAD_EPSILONS = {'bn_features': 1e-3, 'bn_logits': 1e-5}


def _sow_end_point(module: nn.Module, name: str, x) -> None:
  """Stores an end point, but not in `init`, which makes all of them mutable."""
  if not module.is_initializing():
    replace = {'reduce_fn': lambda _, new: new, 'init_fn': lambda: None}
    module.sow(END_POINTS, END_POINT_PREFIX + name, x, **replace)


class AuxHead(nn.Module):
  """The auxiliary classifier (GoogLeNet; Szegedy et al. 2015, figure 8).

  [B, 17, 17, C] → float32 logits [B, num_classes]. On smaller grids the
  windows shrink to the grid, as with TF-slim's
  `_reduced_kernel_size_for_small_input`. There is no dropout, as in TF-slim,
  MindCV and MindSpore. Without `batch_norm` the convolutions have no ReLU
  either, as in MindSpore's Inception-v3.
  """

  num_classes: int
  options: LayerOptions
  batch_norm: bool = True

  @nn.compact
  def __call__(self, x, train: bool):
    window = min(5, x.shape[1])
    pooled = Pool('avg', window, 3, 'VALID')
    x = stage(pooled, self.options, 'pool')(x, train)  # 5×5×C
    bare = not self.batch_norm
    spec = conv(128, bare=bare)
    x = stage(spec, self.options, 'conv_0')(x, train)  # 5×5×128
    window = min(5, x.shape[1])
    spec = conv(768, window, padding='VALID', stddev=0.01, bare=bare)
    x = stage(spec, self.options, 'conv_1')(x, train)  # 1×1×768
    return Classifier(
      self.num_classes,
      self.options,
      nn.initializers.truncated_normal(0.001),
      name='head',
    )(x, train)


class Classifier(nn.Module):
  """Global average pool and dense layer: [B, H, W, C] → [B, num_classes].

  With no classes, the result is the pooled features [B, C]. The logits are
  float32. With `batch_norm`, features and logits are normalized,
  with the ε and momentum of MindSpore's Inception-v4
  (models/official/cv/Inception/inceptionv4). That one ends in a log-softmax,
  which changes neither the loss nor the order of the classes.
  """

  num_classes: int
  options: LayerOptions
  own_init: Any = nn.initializers.glorot_uniform()  # with 'he_normal'
  dropout_rate: float = 0.0
  batch_norm: bool = False

  @nn.compact
  def __call__(self, x, train: bool):
    policy = self.options.policy

    def normalize(x, name, momentum):
      statistics = {'epsilon': HEAD_EPSILONS[name], 'momentum': momentum}
      return self.options.batch_norm(
        self, name, train, dtype=policy.output_dtype, **statistics
      )(x)

    if self.options.folded:
      # The mean as a pool, which ONNX has for channels-first layouts.
      x = nn.avg_pool(x, window_shape=x.shape[1:3], padding='VALID')[:, 0, 0]
    else:
      # Sums over many positions lose digits in bfloat16; float32 costs little.
      x = jnp.mean(x, axis=(1, 2), dtype=policy.output_dtype)
    _sow_end_point(self, 'pooled', x)
    if not self.num_classes:
      return policy.cast_to_output(x)
    if self.batch_norm:
      x = normalize(x, 'bn_features', momentum=0.1)
    x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
    x = nn.Dense(
      self.num_classes,
      dtype=policy.compute_dtype,
      precision=self.options.precision,
      kernel_init=initializers.kernel(self.options.kernel_init, self.own_init),
      bias_init=initializers.bias(self.options.kernel_init, x.shape[-1]),
      name='dense',
    )(x)
    if self.batch_norm:
      x = normalize(x, 'bn_logits', momentum=0.9)
    return policy.cast_to_output(x)


class Inception(nn.Module):
  """A network of the family: the stages of `table`, then the classifier.

  Attributes:
    table: ((name, spec), …) from the image to the last grid.
    aux_after: name of the stage that the auxiliary head reads.
    num_classes, aux_head, aux_batch_norm, head_batch_norm: see `NetworkConfig`.
    dropout_rate: fraction of features dropped before the last dense layer.
    drop_path_rate: see `create`.
    options: see `LayerOptions`.
    card: how images are prepared for it; changes nothing that it computes.
  """

  table: tuple[tuple[str, Any], ...]
  aux_after: str
  num_classes: int
  aux_head: bool = False
  aux_batch_norm: bool = True
  head_batch_norm: bool = False
  dropout_rate: float = 0.0
  drop_path_rate: float = 0.0
  options: LayerOptions = LayerOptions()
  card: Card = Card()

  @nn.compact
  def __call__(self, images, train: bool = False):
    """Classifies normalized images.

    Args:
      images: float [B, S, S, C]; or pooled features, float32 [B, C], which
        only the classifier reads, with the same keys of dropout.
      train: whether to use batch statistics, dropout and the auxiliary head;
        needs a 'dropout' key and mutable 'batch_stats'.

    Returns:
      float32 logits [B, num_classes], without classes the pooled features
      [B, C]; and the auxiliary head's logits, or None if there is no such head
      or it does not run.
    """
    if images.ndim == 2:
      x, table = images[:, None, None], ()
    else:
      x, table = self.options.policy.cast_to_compute(images), self.table
    aux = None
    rates = drop_path_rates(table, self.drop_path_rate)
    for name, spec in table:
      x = stage(spec, self.options, name, rates.get(name, 0.0))(x, train)
      _sow_end_point(self, name, x)
      if name == self.aux_after and self.aux_head:
        if train or self.is_initializing():
          aux = AuxHead(
            self.num_classes, self.options, self.aux_batch_norm, name='aux'
          )(x, train)
    logits = Classifier(
      self.num_classes,
      self.options,
      dropout_rate=self.dropout_rate,
      batch_norm=self.head_batch_norm,
      name='head',
    )(x, train)
    return logits, aux
