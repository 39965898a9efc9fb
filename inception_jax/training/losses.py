"""Losses of each example, with label smoothing."""

import functools

import optax


def cross_entropy(logits, targets, smoothing: float):
  """Softmax cross-entropy [B] of float32 logits and distributions [B, N].

  Smoothing is TensorFlow's: a label's target is `1 - s + s / N`, that of every
  other class `s / N`.
  """
  targets = optax.smooth_labels(targets, smoothing)
  return optax.softmax_cross_entropy(logits, targets)


def binary_cross_entropy(logits, targets, smoothing: float, threshold=0.0):
  """Sigmoid cross-entropy of every class, averaged over the classes: [B].

  As timm's `BinaryCrossEntropy` (Wightman et al. 2021). Targets are smoothed as
  in `cross_entropy`; with a threshold, those above it then become 1, the others
  0.
  """
  targets = optax.smooth_labels(targets, smoothing)
  if threshold:
    targets = (targets > threshold).astype(targets.dtype)
  return optax.sigmoid_binary_cross_entropy(logits, targets).mean(axis=-1)


def binary_cross_entropy_sum(logits, targets, smoothing: float, threshold=0.0):
  """`binary_cross_entropy`, added up over the classes: timm's `bce_sum`."""
  mean = binary_cross_entropy(logits, targets, smoothing, threshold)
  return mean * logits.shape[-1]


# The values of `config.loss`.
LOSSES = {
  'cross_entropy': cross_entropy,
  'binary_cross_entropy': binary_cross_entropy,
  'binary_cross_entropy_sum': binary_cross_entropy_sum,
}


def make_loss(config):
  """Returns `config.loss` with its options: (logits, targets) → losses [B]."""
  options = {'smoothing': config.label_smoothing}
  if config.loss_threshold:
    options['threshold'] = config.loss_threshold
  return functools.partial(LOSSES[config.loss], **options)
