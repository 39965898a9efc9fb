"""Compares an exported network with the network that it was exported from."""

import functools
from typing import Any

import jax
import numpy as np

from inception_jax.data.augment import transforms
from inception_jax.export import outputs
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
  return transforms.normalize(images, card_lib.to_config(card))


def compare(
  weights: Weights,
  run,
  images: np.ndarray | None = None,
  names: tuple[str, ...] = (outputs.LOGITS,),
) -> dict[str, Any]:
  """Compares the outputs of an exported network with the network's.

  Args:
    weights: the network.
    run: see `Artifact`.
    images: uint8 [n, S, S, C]; None: those of `sample_images`.
    names: the outputs, logits first.

  Returns:
    'max_abs_diff' of the logits, 'relative_diff', which is relative to the
    largest logit, and 'top5_agreement', the fraction of images with the same
    top-5 classes. With more outputs, 'outputs' has the relative difference of
    each.
  """
  images = normalize(weights.card, images)
  model = architectures.create(weights.network)
  expected = jax.device_get(_outputs(model, weights.variables, images, names))
  actual = run(images)
  relative = {
    name: _largest(expected[name] - actual[name])
    # Behind a ReLU, all may be 0.
    / (_largest(expected[name]) or 1.0)
    for name in names
  }
  logits, theirs = expected[outputs.LOGITS], actual[outputs.LOGITS]
  agreement = np.all(_top5(logits) == _top5(theirs), axis=1)
  result = {
    'max_abs_diff': _largest(logits - theirs),
    'relative_diff': relative[outputs.LOGITS],
    'top5_agreement': float(np.mean(agreement)),
  }
  return {**result, 'outputs': relative} if len(names) > 1 else result


def _largest(values: np.ndarray) -> float:
  return float(np.max(np.abs(values)))


def _top5(logits: np.ndarray) -> np.ndarray:
  return np.sort(np.argsort(-logits, axis=1)[:, :5])


# Compiled once for a network that is exported in several formats.
@functools.partial(jax.jit, static_argnums=(0, 3))
def _outputs(model, variables, images, names):
  return outputs.compute(model, variables, images, names)
