"""Metrics as sums and counts, divided once, when they are reported."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SUMS = ('loss', 'top1', 'top5')
CLASS_SUMS = ('class_top1', 'class_count')


def add(sums: list[dict[str, np.ndarray]]) -> dict[str, Any]:
  """Returns the totals of the `sums` of several batches, added in float64.

  And those of their `class_sums`, float64 [N], if they have them.
  """
  totals = {
    key: float(np.sum([np.float64(s[key]) for s in sums]))
    for key in (*SUMS, 'count')
  }
  if all(CLASS_SUMS[0] in s for s in sums):
    for key in CLASS_SUMS:
      totals[key] = np.sum([np.float64(s[key]) for s in sums], axis=0)
  return totals


def means(sums: dict[str, Any]) -> dict[str, float]:
  """Returns the sums divided by their 'count', and the count as an int.

  With `class_sums`, also 'balanced_accuracy': the mean of the top-1 of each
  class that has images, as scikit-learn's balanced_accuracy_score.
  """
  count = int(sums['count'])
  # In float16, every step since the last report may have overflowed.
  result = {key: sums[key] / count if count else math.nan for key in SUMS}
  if CLASS_SUMS[0] in sums:
    correct, images = (sums[key][sums['class_count'] > 0] for key in CLASS_SUMS)
    balanced = float(np.mean(correct / images)) if len(images) else math.nan
    result['balanced_accuracy'] = balanced
  return {**result, 'count': count}


def hits(logits, labels, k: int):
  """Returns whether each label is among the k highest logits: bool [B].

  `logits` are float [B, num_classes], `labels` int [B]. Of equal logits, that
  of the lower class ranks higher, as in `argmax`. A row with a NaN is a miss.
  """
  label_logits = jnp.take_along_axis(logits, labels[:, None], axis=-1)
  earlier = jnp.arange(logits.shape[-1]) < labels[:, None]
  above = (logits > label_logits) | ((logits == label_logits) & earlier)
  return (jnp.sum(above, axis=-1) < k) & ~jnp.isnan(logits).any(axis=-1)


def sums(loss, logits, labels, mask):
  """Returns the sums over a batch: float32 'loss', 'top1', 'top5', 'count'.

  Args:
    loss: float32 [B].
    logits: float [B, num_classes].
    labels: int [B].
    mask: [B]; 0 in rows of padding.
  """
  mask = mask.astype(jnp.float32)
  # `where`, since 0 × NaN in a padding row would be NaN.
  return {
    'loss': jnp.sum(jnp.where(mask > 0, loss, 0.0)),
    'top1': jnp.sum(hits(logits, labels, 1) * mask),
    'top5': jnp.sum(hits(logits, labels, 5) * mask),
    'count': jnp.sum(mask),
  }


def class_sums(labels, correct, mask, num_classes: int):
  """Returns the sums of each class: float32 'class_top1', 'class_count' [N].

  Args:
    labels: int [B].
    correct: bool [B], whether top-1 is right.
    mask: [B]; 0 in rows of padding.
    num_classes: N.
  """
  rows = jax.nn.one_hot(labels, num_classes) * mask[:, None]
  return {
    'class_top1': jnp.sum(rows * correct[:, None], axis=0),
    'class_count': jnp.sum(rows, axis=0),
  }
