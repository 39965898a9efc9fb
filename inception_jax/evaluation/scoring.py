"""Forward passes and per-image scores of a batch, as pure functions."""

import jax
import jax.numpy as jnp
import numpy as np

from inception_jax import metrics
from inception_jax.data.augment import transforms


def make_forward(config, model):
  """Returns `(variables, uint8 [B, S, S, C]) → logits [B, N]`.

  It also takes pooled features, float32 [B, C], in place of the images.
  """

  def forward(variables, images):
    if images.ndim == 4:
      images = transforms.normalize(images, config.data)
    return model.apply(variables, images)[0]

  return forward


def make_artifact_forward(config, classify):
  """The same for an artifact: its variables are in the program that runs it."""
  normalize = jax.jit(lambda images: transforms.normalize(images, config.data))

  def forward(variables, images):
    del variables
    return jnp.asarray(classify(np.asarray(normalize(images))))

  return forward


def crop_view(canvas, square, corner, mirrored, size: int):
  """Returns the same view of each image: [B, size, size, C].

  Args:
    canvas: [B, n, t, t, C], or [B, t, t, C] for a single square.
    square: int32, index of the square, below n.
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


def add_probabilities(total, logits):
  """Returns log(exp(total) + softmax(logits)): [B, N]."""
  return jnp.logaddexp(total, jax.nn.log_softmax(logits))


def score(scores, labels, mask, allowed):
  """Scores a batch; the loss is without label smoothing.

  Args:
    scores: [B, N], logits or logarithms of summed probabilities.
    labels: int32 [B, M]: every correct class, padded with −1.
    mask: [B]; 0 for images that do not count.
    allowed: bool [N], the classes that may be predicted.

  Returns:
    `metrics.sums` and `metrics.class_sums`, where an image with several correct
    classes counts for the first of them; and for each image 'labels'; 'mask';
    'image_loss', the negative log-probability of the correct classes;
    'classes', the five most probable ones; 'probabilities', theirs.
  """
  scores = jnp.where(allowed, scores, -jnp.inf)
  log_probabilities = jax.nn.log_softmax(scores)
  correct = lambda x: jnp.where(
    labels >= 0, jnp.take_along_axis(x, labels, axis=-1), -jnp.inf
  )
  loss = -jax.nn.logsumexp(correct(log_probabilities), axis=-1)
  # Of several correct classes, the most probable one.
  best = jnp.argmax(correct(scores), axis=-1, keepdims=True)
  label = jnp.take_along_axis(labels, best, axis=-1)[:, 0]
  # Of scores, since unequal ones may have equal logarithms.
  classes = jax.lax.top_k(scores, min(5, scores.shape[-1]))[1]
  highest = jnp.take_along_axis(log_probabilities, classes, axis=-1)
  correct_top1 = metrics.hits(scores, label, 1)
  return {
    **metrics.sums(loss, scores, label, mask),
    **metrics.class_sums(labels[:, 0], correct_top1, mask, scores.shape[-1]),
    'labels': labels,
    'mask': mask,
    'image_loss': loss,
    'classes': classes,
    'probabilities': jnp.exp(highest),
  }
