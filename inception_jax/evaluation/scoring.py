"""From images to what is right and wrong with a batch: pure functions."""

import jax
import jax.numpy as jnp
import numpy as np

from inception_jax import metrics
from inception_jax.data.augment import transforms


def make_forward(config, model):
  """Returns `(variables, uint8 [B, S, S, C]) → logits [B, N]`."""

  def forward(variables, images):
    return model.apply(variables, transforms.normalise(images, config.data))[0]

  return forward


def make_artifact_forward(config, classify):
  """The same of what another program computes from normalised images."""
  normalise = jax.jit(lambda images: transforms.normalise(images, config.data))

  def forward(variables, images):
    del variables  # they are in the program
    return jnp.asarray(classify(np.asarray(normalise(images))))

  return forward


def crop_view(canvas, square, corner, mirrored, size: int):
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


def add_probabilities(total, logits):
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
    **metrics.sums(loss, scores, label, mask),
    'labels': labels,
    'mask': mask,
    'image_loss': loss,
    'classes': classes,
    'probabilities': jnp.exp(highest),
  }
