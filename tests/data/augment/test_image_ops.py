"""AutoAugment's operations against PIL, on a photograph that sklearn ships."""

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from PIL import ImageEnhance
from PIL import ImageOps
import pytest
from sklearn import datasets

from inception_jax.data.augment import image_ops

FILL = (10, 20, 30)


@pytest.fixture(scope='module')
def photo():
  return datasets.load_sample_image('flower.jpg')[150:214, 230:310]


@pytest.fixture(scope='module')
def apply():
  return jax.jit(image_ops.apply)


def affine(image, *coefficients):
  return image.transform(
    image.size, Image.AFFINE, coefficients, Image.BILINEAR, fillcolor=FILL
  )


PIL = {
  'posterize': lambda x, bits: ImageOps.posterize(x, int(bits)),
  'solarize': ImageOps.solarize,
  'autocontrast': lambda x, _: ImageOps.autocontrast(x),
  'equalize': lambda x, _: ImageOps.equalize(x),
  'identity': lambda x, _: x,
  'solarize_add': lambda x, v: x.point(
    [i + v if i < 128 else i for i in range(256)] * 3
  ),
  'brightness': lambda x, v: ImageEnhance.Brightness(x).enhance(1 + v),
  'color': lambda x, v: ImageEnhance.Color(x).enhance(1 + v),
  'contrast': lambda x, v: ImageEnhance.Contrast(x).enhance(1 + v),
  'sharpness': lambda x, v: ImageEnhance.Sharpness(x).enhance(1 + v),
  'shear_x': lambda x, v: affine(x, 1, v, 0, 0, 1, 0),
  'shear_y': lambda x, v: affine(x, 1, 0, 0, v, 1, 0),
  'translate_x': lambda x, v: affine(x, 1, 0, v, 0, 1, 0),
  'translate_y': lambda x, v: affine(x, 1, 0, 0, 0, 1, v),
  'rotate': lambda x, v: x.rotate(v, Image.BILINEAR, fillcolor=FILL),
}
EQUALIZE = ('equalize', 'equalize_opencv')
BLENDS = [
  (name, level)
  for name in ('brightness', 'color', 'contrast', 'sharpness')
  for level in (-0.9, -0.3, 0.5, 0.9)
]


@pytest.mark.parametrize(
  'name, level',
  [
    *BLENDS,
    *(('posterize', bits) for bits in (4, 5, 8)),
    *(('solarize', threshold) for threshold in (0, 113.3, 255)),
    ('autocontrast', 0),
    ('equalize', 0),
    ('identity', 0),
    ('solarize_add', 99),
  ],
)
def test_color_operations_equal_pils(photo, apply, name, level):
  out = apply(
    jnp.float32(photo), image_ops.NAMES.index(name), level, jnp.zeros(3)
  )
  expected = np.asarray(PIL[name](Image.fromarray(photo), level), np.int32)
  # Both truncate, so that a rounding error below a whole number costs a level.
  most = 1 if (name, level) in BLENDS or name == 'autocontrast' else 0
  difference = np.abs(np.asarray(out) - expected)
  assert difference.max() <= most
  assert np.mean(difference > 0) < 0.01
  assert (name, level) in [('identity', 0), ('posterize', 8)] or (
    np.abs(expected - photo).max() > 6 or (name, level) == ('solarize', 255)
  )


@pytest.mark.parametrize(
  'name, level',
  [
    ('rotate', 27.0),
    ('rotate', -15.0),
    ('shear_x', 0.2),
    ('shear_y', -0.2),
    ('translate_x', 9),
    ('translate_y', -9),
  ],
)
def test_geometric_operations_equal_pils(photo, apply, name, level):
  out = apply(
    jnp.float32(photo), image_ops.NAMES.index(name), level, jnp.float32(FILL)
  )
  expected = np.asarray(PIL[name](Image.fromarray(photo), level), np.int32)
  difference = np.abs(np.asarray(out) - expected)
  # At the border, PIL repeats the outermost pixel; ours blends with the fill.
  filled = (expected == FILL).all(-1)
  inside, outside = without_border(~filled), without_border(filled)
  assert inside.mean() > 0.6 and outside.mean() > 0.02
  assert difference[inside].max() <= 1
  assert difference[outside].max() == 0


def without_border(mask):
  padded = np.pad(mask, 1)
  window = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
  return window.all((-1, -2))


def test_flat_and_grey_images_are_unchanged(apply):
  flat = jnp.full((8, 8, 3), 77.0)
  for name in ('autocontrast', *EQUALIZE, 'color', 'contrast', 'sharpness'):
    out = apply(flat, image_ops.NAMES.index(name), 0.5, jnp.zeros(3))
    np.testing.assert_array_equal(out, flat)
  grey = jnp.arange(64.0).reshape(8, 8, 1)
  out = apply(grey, image_ops.NAMES.index('color'), 0.5, jnp.zeros(1))
  np.testing.assert_array_equal(out, grey)
