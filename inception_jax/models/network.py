"""A whole network: the stages of its table, then its classifiers."""

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from inception_jax.models.blocks import stage
from inception_jax.models.layers import LayerOptions
from inception_jax.models.specs import Pool
from inception_jax.models.specs import conv

# The collection of every stage's output, where a caller makes it mutable.
END_POINTS = 'end_points'

AFTER = 'after_'  # a variable may not be called as a module is


def _keep(module: nn.Module, name: str, x) -> None:
  """Notes an end point; `init` makes all collections mutable, and is spared."""
  if not module.is_initializing():
    latest = {'reduce_fn': lambda _, new: new, 'init_fn': lambda: None}
    module.sow(END_POINTS, AFTER + name, x, **latest)


class AuxHead(nn.Module):
  """The auxiliary classifier (GoogLeNet; Szegedy et al. 2015, figure 8).

  [B, 17, 17, C] → float32 logits [B, num_classes]. On smaller grids the
  windows shrink to the grid, as TF-slim's
  `_reduced_kernel_size_for_small_input` does. Without `batch_norm` the
  convolutions have no ReLU either, as in MindSpore's Inception-v3.
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
  """Global average over [B, H, W, C], then dense: float32 [B, num_classes].

  With `batch_norm`, the features and the logits are normalised, as in
  MindSpore's Inception-v4 (models/official/cv/Inception/inceptionv4), whose
  ε and shares of the old statistics these are. It ends in a log-softmax,
  which changes neither the loss nor the order of the classes.
  """

  num_classes: int
  options: LayerOptions
  kernel_init: Any = nn.initializers.glorot_uniform()
  dropout_rate: float = 0.0
  batch_norm: bool = False

  @nn.compact
  def __call__(self, x, train: bool):
    policy = self.options.policy
    normalise = functools.partial(
      self.options.batch_norm, self, train=train, dtype=policy.output_dtype
    )
    # Sums over many positions lose digits in bfloat16; they are few and cheap.
    if self.options.folded:
      # The same as a pool, which ONNX has for channels that come first.
      x = nn.avg_pool(x, window_shape=x.shape[1:3], padding='VALID')[:, 0, 0]
    else:
      x = jnp.mean(x, axis=(1, 2), dtype=policy.output_dtype)
    _keep(self, 'pooled', x)
    if self.batch_norm:
      x = normalise('bn_features', epsilon=1e-3, momentum=0.1)(x)
    x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
    x = nn.Dense(
      self.num_classes,
      dtype=policy.compute_dtype,
      precision=self.options.products,
      kernel_init=self.kernel_init,
      name='dense',
    )(x)
    if self.batch_norm:
      x = normalise('bn_logits', epsilon=1e-5, momentum=0.9)(x)
    return policy.cast_to_output(x)


class Inception(nn.Module):
  """A network of the family: walks `table`, then classifies.

  Attributes:
    table: ((name, spec), …) from the image to the last grid.
    aux_after: name of the stage that the auxiliary head reads.
    num_classes: width of the logits.
    aux_head: whether there is an auxiliary head. It runs in training only,
      so evaluation does not pay for it.
    aux_batch_norm: whether its convolutions have BatchNorm and ReLU.
    head_batch_norm: whether features and logits are normalised.
    dropout_rate: share of features dropped before the last dense layer.
    options: see `Options`.
  """

  table: tuple[tuple[str, Any], ...]
  aux_after: str
  num_classes: int
  aux_head: bool = False
  aux_batch_norm: bool = True
  head_batch_norm: bool = False
  dropout_rate: float = 0.0
  options: LayerOptions = LayerOptions()

  @nn.compact
  def __call__(self, images, train: bool = False):
    """Classifies normalised images.

    Args:
      images: float [B, S, S, C].
      train: batch statistics, dropout and the auxiliary head; needs the
        'dropout' key and mutable 'batch_stats'.

    Returns:
      float32 logits [B, num_classes], and the auxiliary head's, or None
      where it does not exist or does not run.
    """
    x = self.options.policy.cast_to_compute(images)
    aux = None
    for name, spec in self.table:
      x = stage(spec, self.options, name)(x, train)
      _keep(self, name, x)
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
