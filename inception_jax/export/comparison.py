"""An artifact beside the network that it was made of."""

import functools

import jax
import numpy as np

from inception_jax.data.augment import transforms
from inception_jax.models import card as card_lib
from inception_jax.models import factory
from inception_jax.weights.convert import Weights

_RANDOM, _CROPS = 4, 4


def images(size: int, channels: int) -> np.ndarray:
  """uint8 [8, S, S, C]: noise, then crops of scikit-learn's photographs."""
  from PIL import Image
  from sklearn import datasets

  random = np.random.default_rng(0)
  shape = (_RANDOM, size, size, channels)
  found = list(random.integers(0, 256, shape, np.uint8))
  photos = datasets.load_sample_images().images
  for i in range(_CROPS):
    photo = Image.fromarray(photos[i % len(photos)])
    if channels == 1:
      photo = photo.convert('L')
    side = min(photo.size)
    left = random.integers(0, photo.width - side + 1)
    box = (left, 0, left + side, side)
    crop = np.asarray(photo.crop(box).resize((size, size)))
    found.append(crop.reshape(size, size, channels))
  return np.stack(found)


def normalised(
  card: card_lib.Card, given: np.ndarray | None = None
) -> np.ndarray:
  """float32 [n, S, S, C]: `given`, or `images`, as a network sees them."""
  if given is None:
    given = images(card.input_size, len(card.mean))
  return np.asarray(transforms.normalise(given, card_lib.data_of(card)))


def compare(
  weights: Weights, classify, given: np.ndarray | None = None
) -> dict[str, float]:
  """How far off an artifact is.

  Args:
    weights: of the network.
    classify: of the artifact.
    given: uint8 [n, S, S, C], in place of `images`.

  Returns:
    'max_abs_diff' of the logits, 'relative_diff', to the largest logit, and
    'top5_agreement', the share of images whose best five are the same.
  """
  card = weights.card
  given = normalised(card, given)
  model = factory.create(**weights.model, card=card)
  ours = np.asarray(_logits(model, weights.variables, given))
  theirs = classify(given)
  best = [np.sort(np.argsort(-x, axis=1)[:, :5]) for x in (ours, theirs)]
  difference = float(np.max(np.abs(ours - theirs)))
  return {
    'max_abs_diff': difference,
    'relative_diff': difference / float(np.max(np.abs(ours))),
    'top5_agreement': float(np.mean(np.all(best[0] == best[1], axis=1))),
  }


# Of equal networks once: their artifacts in several formats are compared.
@functools.partial(jax.jit, static_argnums=0)
def _logits(model, variables, images):
  return model.apply(variables, images)[0]
