"""The cards of other frameworks' weights, against the frameworks' pixels."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from inception_jax.data import decode
from inception_jax.models import card as card_lib
from inception_jax.weights import sources
from tests.parity import pixels

IMAGES = ('of_jpeg', *(f'crop_{i}' for i in range(len(pixels.CROPS))))


def cards(*frameworks):
  """Returns {framework and network: its card}."""
  return {
    f'{source.framework} {source.network_name}': source.card
    for source in sources.SOURCES
    if source.framework in frameworks
  }


def evaluate(card, golden, name):
  """Returns the evaluation crop of an image of tests/parity/pixels.py."""
  if name == 'of_jpeg':
    image = golden['jpeg'].tobytes()
  else:
    shape = pixels.CROPS[int(name.removeprefix('crop_'))]
    image = pixels.image(*shape)
  data = card_lib.to_config(card)
  return decode.eval_image(tf.constant(image), data).numpy()


@pytest.mark.parametrize('image', IMAGES)
@pytest.mark.parametrize('name', cards('MindSpore', 'MindCV'))
def test_evaluation_pixels_equal_mindspores(name, image):
  card = dataclasses.replace(
    cards('MindSpore', 'MindCV')[name],
    input_size=pixels.SIDE,
    crop_fraction=pixels.SIDE / pixels.SHORTER,
  )
  with pixels.golden('mindspore') as golden:
    found = evaluate(card, golden, image)
    np.testing.assert_array_equal(found, golden[image])


@pytest.mark.parametrize('image', IMAGES)
@pytest.mark.parametrize('name', cards('TF-slim'))
def test_evaluation_pixels_equal_slims_but_for_rounding(name, image):
  card = dataclasses.replace(cards('TF-slim')[name], input_size=pixels.SIDE)
  with pixels.golden('slim') as golden:
    found = evaluate(card, golden, image)
    levels = golden[image] * card.std + card.mean  # of inputs in −1…1
  assert np.abs(found - levels).max() <= 0.5 + 1e-4
