"""Pixels of each mode, against those of the package that it is named after."""

import numpy as np
import pytest

from inception_jax.data.lazy import tf
from inception_jax.fid import modes
from inception_jax.models import card as card_lib
from tests.parity import fid_pixels

GOLDEN = np.load(fid_pixels.PATH)
FILES = tuple(fid_pixels.files())


def data():
  return card_lib.to_config(card_lib.Card(interpolation='bilinear'))


@pytest.mark.parametrize('mode', modes.MODES)
@pytest.mark.parametrize('name', FILES)
def test_pixels_are_those_of_the_package(mode, name):
  encoded = tf.constant(GOLDEN[name].tobytes())
  found = modes.prepare(mode, encoded, data())
  pixels = found['image'].numpy()
  assert pixels.dtype == np.float32 and pixels.shape == (299, 299, 3)
  step = fid_pixels.STRIDE
  expected = GOLDEN[f'{mode}/{name}']
  np.testing.assert_allclose(
    pixels[::step, ::step], expected, rtol=0, atol=5e-7
  )


def test_every_mode_has_golden_pixels():
  assert set(fid_pixels.MODES) == set(modes.MODES)


def test_raw_grey_is_the_same_as_a_file_of_it():
  encoded = tf.constant(GOLDEN['grey.png'].tobytes())
  grey = tf.io.decode_png(encoded)
  assert grey.shape[-1] == 1
  a, b = (modes.prepare('clean', x, data()) for x in (encoded, grey))
  np.testing.assert_array_equal(a['image'], b['image'])
  assert a['size'].numpy().tolist() == [25, 31]
