"""Metrics as sums and counts, divided once."""

import math

import jax.numpy as jnp
import numpy as np

SUMS = ('loss', 'top1', 'top5')


def add(sums: list[dict[str, np.ndarray]]) -> dict[str, float]:
  """Adds up what `scoring.sums` gave for each batch, in float64."""
  return {
    key: float(np.sum([np.float64(s[key]) for s in sums]))
    for key in (*SUMS, 'count')
  }


def means(sums: dict[str, float]) -> dict[str, float]:
  """Divides sums by their count."""
  count = int(sums['count'])
  # There is none where every step overflowed.
  result = {key: sums[key] / count if count else math.nan for key in SUMS}
  return {**result, 'count': count}


def hits(logits, labels, k: int):
  """Whether the label is among the k highest logits: bool [B].

  Among equal logits the lower class counts as higher, as in `argmax`, so
  that top-1 is argmax's. A NaN among the logits makes a miss.
  """
  own = jnp.take_along_axis(logits, labels[:, None], axis=-1)
  earlier = jnp.arange(logits.shape[-1]) < labels[:, None]
  above = (logits > own) | ((logits == own) & earlier)
  return (jnp.sum(above, axis=-1) < k) & ~jnp.isnan(logits).any(axis=-1)


def sums(loss, logits, labels, mask):
  """Sums over the batch, and their count: divided once, when printed."""
  mask = mask.astype(jnp.float32)
  # `where`, since 0 × NaN of a padding row would be NaN.
  return {
    'loss': jnp.sum(jnp.where(mask > 0, loss, 0.0)),
    'top1': jnp.sum(hits(logits, labels, 1) * mask),
    'top5': jnp.sum(hits(logits, labels, 5) * mask),
    'count': jnp.sum(mask),
  }
