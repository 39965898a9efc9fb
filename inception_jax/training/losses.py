"""Losses per example, with label smoothing."""

import optax


def cross_entropy(logits, targets, smoothing: float):
  """Softmax cross-entropy [B] of float32 logits and distributions [B, N].

  Smoothing is TensorFlow's: of a label's target, `1 - s + s / N` is on the
  label and `s / N` elsewhere.
  """
  targets = optax.smooth_labels(targets, smoothing)
  return optax.softmax_cross_entropy(logits, targets)


def binary_cross_entropy(logits, targets, smoothing: float):
  """Mean over the classes of each one's own cross-entropy: [B].

  As timm's and PyTorch's (Wightman et al. 2021); targets are smoothed as in
  `cross_entropy`.
  """
  targets = optax.smooth_labels(targets, smoothing)
  return optax.sigmoid_binary_cross_entropy(logits, targets).mean(axis=-1)
