"""Compares an exported network with the network that it was exported from."""

import functools

import jax
import numpy as np

from inception_jax.data.augment import transforms
from inception_jax.models import architectures
from inception_jax.models import card as card_lib
from inception_jax.weights.convert import Weights

_NOISE, _CROPS = 4, 4


def sample_images(size: int, channels: int) -> np.ndarray:
  """Returns uint8 [8, S, S, C]: noise, and crops of scikit-learn's photos."""
  from PIL import Image
  from sklearn import datasets

  rng = np.random.default_rng(0)
  shape = (_NOISE, size, size, channels)
  images = list(rng.integers(0, 256, shape, np.uint8))
  photos = datasets.load_sample_images().images
  for i in range(_CROPS):
    photo = Image.fromarray(photos[i % len(photos)])
    if channels == 1:
      photo = photo.convert('L')
    side = min(photo.size)
    left = rng.integers(0, photo.width - side + 1)
    box = (left, 0, left + side, side)
    crop = np.asarray(photo.crop(box).resize((size, size)))
    images.append(crop.reshape(size, size, channels))
  return np.stack(images)


def normalize(
  card: card_lib.Card, images: np.ndarray | None = None
) -> np.ndarray:
  """Returns uint8 images, None: `sample_images`, as float32 [n, S, S, C]."""
  if images is None:
    images = sample_images(card.input_size, len(card.mean))
  return np.asarray(transforms.normalize(images, card_lib.to_config(card)))


def compare(
  weights: Weights, classify, images: np.ndarray | None = None
) -> dict[str, float]:
  """Compares the logits of an exported network with the network's.

  For `classify`, see `Artifact`; the images are uint8 [n, S, S, C], or those of
  `sample_images`. Returns 'max_abs_diff' of the logits, 'relative_diff', which
  is relative to the largest logit, and 'top5_agreement', the fraction of images
  with the same top-5 classes.
  """
  images = normalize(weights.card, images)
  model = architectures.create(weights.network)
  expected = np.asarray(_logits(model, weights.variables, images))
  actual = classify(images)
  difference = float(np.max(np.abs(expected - actual)))
  agreement = np.all(_top5(expected) == _top5(actual), axis=1)
  return {
    'max_abs_diff': difference,
    'relative_diff': difference / float(np.max(np.abs(expected))),
    'top5_agreement': float(np.mean(agreement)),
  }


def _top5(logits: np.ndarray) -> np.ndarray:
  return np.sort(np.argsort(-logits, axis=1)[:, :5])


# Compiled once for a network that is exported in several formats.
@functools.partial(jax.jit, static_argnums=0)
def _logits(model, variables, images):
  return model.apply(variables, images)[0]
