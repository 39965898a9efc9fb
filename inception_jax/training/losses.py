"""Losses of each example, with label smoothing."""

import functools

import optax


def cross_entropy(logits, targets, smoothing: float, class_weights=None):
  """Softmax cross-entropy [B] of float32 logits and distributions [B, N].

  Smoothing is TensorFlow's: a label's target is `1 - s + s / N`, that of every
  other class `s / N`. Class weights [N] multiply each class's target after
  that, as PyTorch's `CrossEntropyLoss(weight, reduction='none')` does.
  """
  targets = optax.smooth_labels(targets, smoothing)
  if class_weights is not None:
    targets *= class_weights
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


def make_loss(config, class_weights=None):
  """Returns `config.loss` with its options: (logits, targets) → losses [B].

  `class_weights` are float32 [N], of cross_entropy only.
  """
  options = {'smoothing': config.label_smoothing}
  if class_weights is not None:
    options['class_weights'] = class_weights
  if config.loss_threshold:
    options['threshold'] = config.loss_threshold
  return functools.partial(LOSSES[config.loss], **options)
