"""From images to what is right and wrong with a batch: pure functions."""

import jax
import jax.numpy as jnp
import numpy as np

from inception_jax.data import augment


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


def make_forward(config, model):
  """Returns `(variables, uint8 [B, S, S, C]) → logits [B, N]`."""

  def forward(variables, images):
    return model.apply(variables, augment.normalise(images, config.data))[0]

  return forward


def make_outer_forward(config, classify):
  """The same of what another program computes from normalised images."""
  normalise = jax.jit(lambda images: augment.normalise(images, config.data))

  def forward(variables, images):
    del variables  # they are in the program
    return jnp.asarray(classify(np.asarray(normalise(images))))

  return forward


def cut(canvas, square, corner, mirrored, size: int):
  """A view of each image: [B, size, size, C].

  Args:
    canvas: [B, n, t, t, C], or [B, t, t, C] for a single square.
    square: int32, which of n.
    corner: int32 [2], first row and column.
    mirrored: bool.
    size: of the view.
  """
  if canvas.ndim == 4:
    canvas = canvas[:, None]
  begin = (0, square, *corner, 0)
  shape = (canvas.shape[0], 1, size, size, canvas.shape[-1])
  view = jax.lax.dynamic_slice(canvas, begin, shape)[:, 0]
  return jnp.where(mirrored, view[:, :, ::-1], view)


def blend(total, logits):
  """Adds probabilities to those that [B, N] `total` is the logarithm of."""
  return jnp.logaddexp(total, jax.nn.log_softmax(logits))


def score(scores, labels, mask, allowed):
  """What is right and wrong with a batch; the loss is without smoothing.

  Args:
    scores: [B, N], logits or logarithms of summed probabilities.
    labels: int32 [B, M]: every class that is right, then −1.
    mask: [B]; where it is 0, an image does not count.
    allowed: bool [N], the classes that are in the running.

  Returns:
    `sums`, and of each image its 'labels' and 'mask', 'image_loss', the
    negative logarithm of the probability of what is right, 'classes', the five
    most probable ones, and their 'probabilities'.
  """
  scores = jnp.where(allowed, scores, -jnp.inf)
  log_probabilities = jax.nn.log_softmax(scores)
  right = lambda x: jnp.where(
    labels >= 0, jnp.take_along_axis(x, labels, axis=-1), -jnp.inf
  )
  loss = -jax.nn.logsumexp(right(log_probabilities), axis=-1)
  # Of several that are right, the one that the network likes best.
  best = jnp.argmax(right(scores), axis=-1, keepdims=True)
  label = jnp.take_along_axis(labels, best, axis=-1)[:, 0]
  highest, classes = jax.lax.top_k(log_probabilities, min(5, scores.shape[-1]))
  return {
    **sums(loss, scores, label, mask),
    'labels': labels,
    'mask': mask,
    'image_loss': loss,
    'classes': classes,
    'probabilities': jnp.exp(highest),
  }
