"""Losses of each example, with label smoothing."""

import optax


def cross_entropy(logits, targets, smoothing: float):
  """Softmax cross-entropy [B] of float32 logits and distributions [B, N].

  Smoothing is TensorFlow's: a label's target is `1 - s + s / N`, that of every
  other class `s / N`.
  """
  targets = optax.smooth_labels(targets, smoothing)
  return optax.softmax_cross_entropy(logits, targets)


def binary_cross_entropy(logits, targets, smoothing: float):
  """Sigmoid cross-entropy of every class, averaged over the classes: [B].

  As in timm and PyTorch (Wightman et al. 2021); targets are smoothed as in
  `cross_entropy`.
  """
  targets = optax.smooth_labels(targets, smoothing)
  return optax.sigmoid_binary_cross_entropy(logits, targets).mean(axis=-1)


# The values of `config.loss`.
LOSSES = {
  'cross_entropy': cross_entropy,
  'binary_cross_entropy': binary_cross_entropy,
}
