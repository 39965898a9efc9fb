"""A network of three convolutions named as that of 2015, and images."""

import numpy as np
from PIL import Image
import pytest

from inception_jax.models import architectures
from inception_jax.weights.convert import Weights
from tests.support import pictures
from tests.support import small_networks

NAME = 'fid_inception_v3'


@pytest.fixture(scope='module')
def weights():
  """Weights of that network, with 1008 outputs, for images of 32 pixels."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(
      architectures.ARCHITECTURES, NAME, small_networks.networks()[NAME]
    )
    network = architectures.published(NAME, 1008)
    model = architectures.create(network)
    variables = pictures.random_variables(model, small_networks.SIZE)
    yield Weights('random weights', network, model.card, variables)


@pytest.fixture(scope='session')
def photos(tmp_path_factory):
  """A folder of 21 images of 20×16 pixels, a.png to u.png."""
  folder = tmp_path_factory.mktemp('photos')
  rng = np.random.default_rng(0)
  for i in range(21):
    pixels = rng.integers(0, 256, (4, 5, 3), np.uint8)
    Image.fromarray(pixels).resize((20, 16)).save(folder / f'{chr(97 + i)}.png')
  return folder
