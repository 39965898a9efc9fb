"""AutoAugment's operations on one image, in JAX.

An image is float32 [H, W, C] of whole numbers in 0…255, before and after each
operation. The results are PIL's for uint8, except that operations which move
pixels interpolate bilinearly, and that equalize_opencv is OpenCV's.
"""

import jax
import jax.numpy as jnp
from jax.scipy import ndimage

from inception_jax.data.augment import tpu_ops

# Operations that move pixels, that blend with a degenerate image, and others.
MOVING = ('shear_x', 'shear_y', 'translate_x', 'translate_y', 'rotate')
BLENDING = ('brightness', 'color', 'contrast', 'sharpness')
_OTHERS = ('posterize', 'solarize', 'autocontrast', 'equalize', 'identity')
NAMES = (*MOVING, *BLENDING, *_OTHERS, 'solarize_add', 'equalize_opencv')


def apply(image, name, level, fill, names=NAMES):
  """Applies one operation, chosen by data, to an image.

  XLA computes each operation of `names` and selects a result; it computes those
  of `MOVING` only once, and those of `BLENDING`.

  Args:
    image: float32 [H, W, C].
    name: int32 scalar, index into `NAMES`.
    level: float32 scalar. Shears: pixels per pixel of the other axis;
      translations: pixels; rotation: degrees; blends: the factor − 1;
      posterize: bits to keep; solarize: the threshold, 0 to invert the image;
      solarize_add: what to add below 128.
    fill: float32 [C], the color outside of the image.
    names: of the operations that `name` can be.
  """
  is_ = lambda *names: jnp.isin(
    name, jnp.array([NAMES.index(n) for n in names])
  )
  others = {
    'posterize': lambda: _posterize(image, level),
    'solarize': lambda: jnp.where(image < level, image, 255 - image),
    'autocontrast': lambda: _autocontrast(image),
    'equalize': lambda: _equalize(image, _pil_table),
    'solarize_add': lambda: jnp.where(image < 128, image + level, image),
    'equalize_opencv': lambda: _equalize(image, _opencv_table),
  }
  others = {n: operation for n, operation in others.items() if n in names}
  return jnp.select(
    [is_(*MOVING), is_(*BLENDING), *map(is_, others)],
    [
      jnp.round(warp(image, _motion(name, level), fill)),
      _blend(_degenerate(image, name), image, 1 + level),
      *(operation() for operation in others.values()),
    ],
    image,
  )


def grey(x):
  """Returns the luma of ITU-R BT.601, [..., 1]; grey images unchanged."""
  if x.shape[-1] == 1:
    return x
  weights = jnp.asarray([0.299, 0.587, 0.114], jnp.float32)
  return jnp.sum(x * weights, axis=-1, keepdims=True)


def warp(image, motion, fill):
  """Applies an affine transform, with bilinear interpolation.

  Args:
    image: float32 [H, W, C] of whole numbers, 0…255.
    motion: (matrix [2, 2], pivot [2] as fractions of the size, offset [2] in
      pixels), in (row, column). The output at p is the input at
      matrix · (p − pivot) + pivot + offset.
    fill: float32 [C], the color outside of the image.
  """
  matrix, pivot, offset = motion
  size = jnp.asarray(image.shape[:2], jnp.float32)
  pivot = (pivot * size - 0.5)[:, None, None]
  grid = jnp.indices(image.shape[:2])
  # At the default precision, TPUs are half a pixel off, GPUs a tenth.
  source = jnp.einsum(
    'ij,jhw->ihw', matrix, grid - pivot, precision=jax.lax.Precision.HIGHEST
  )
  source = source + pivot + offset[:, None, None]
  return jax.lax.platform_dependent(
    *(image, source, fill), tpu=tpu_ops.interpolate, default=interpolate
  )


def interpolate(image, source, fill):
  """As `tpu_ops.interpolate`, for any float32 values."""
  plane = lambda x: ndimage.map_coordinates(x, list(source), 1, 'constant')
  return jax.vmap(plane, -1, -1)(image - fill) + fill


def rotation(degrees):
  """Returns the motion for `warp` that rotates counter-clockwise."""
  c, s = jnp.cos(jnp.deg2rad(degrees)), jnp.sin(jnp.deg2rad(degrees))
  return jnp.array([[c, s], [-s, c]]), jnp.array([0.5, 0.5]), jnp.zeros(2)


def _motion(name, level):
  """Returns the motion of the first five operations."""
  index = jnp.minimum(name, 4)
  rotated, center, _ = rotation(level)
  unit = jnp.eye(2)
  shear_x = unit.at[1, 0].set(level)
  shear_y = unit.at[0, 1].set(level)
  matrix = jnp.stack([shear_x, shear_y, unit, unit, rotated])[index]
  pivot = jnp.where(index == 4, center, 0.0)
  offset = jnp.array([[0, 0], [0, 0], [0, level], [level, 0], [0, 0]])[index]
  return matrix, pivot, offset


def _blend(degenerate, image, factor):
  """PIL's Image.blend, which truncates."""
  blended = degenerate + factor * (image - degenerate)
  return jnp.floor(jnp.clip(blended, 0, 255))


def _degenerate(image, name):
  """The image that PIL's Brightness, Color, Contrast, Sharpness blend with."""
  # PIL's integer luma weights, in units of 2⁻¹⁶.
  if image.shape[-1] == 1:
    luma = image
  else:
    weights = jnp.asarray([19595, 38470, 7471], jnp.int32)
    luma = jnp.sum(image.astype(jnp.int32) * weights, -1, keepdims=True)
    luma = ((luma + 2**15) >> 16).astype(jnp.float32)
  mean = jnp.broadcast_to(jnp.floor(jnp.mean(luma) + 0.5), image.shape)
  grey_image = jnp.broadcast_to(luma, image.shape)
  images = [jnp.zeros_like(image), grey_image, mean, _smooth(image)]
  return jnp.select([name == i for i in range(5, 9)], images, image)


def _smooth(image):
  """PIL's ImageFilter.SMOOTH, which leaves the outermost pixels unchanged."""
  height, width, _ = image.shape
  shifted = lambda y, x: image[y : height - 2 + y, x : width - 2 + x]
  total = sum(shifted(y, x) for y in range(3) for x in range(3))
  inner = jnp.floor((total + 4 * shifted(1, 1)) / 13 + 0.5)
  return image.at[1:-1, 1:-1].set(inner)


def _posterize(image, bits):
  step = 2.0 ** (8 - bits)
  return jnp.floor(image / step) * step


def _autocontrast(image):
  low, high = jnp.min(image, (0, 1)), jnp.max(image, (0, 1))
  scale = 255 / jnp.maximum(high - low, 1)
  stretched = jnp.floor(jnp.clip(image * scale - low * scale, 0, 255))
  return jnp.where(high > low, stretched, image)


def _equalize(image, table):
  """Each channel through a table of its histogram."""
  levels = image.astype(jnp.int32)
  counts = jax.lax.platform_dependent(
    levels, tpu=tpu_ops.histograms, default=histograms
  )
  tables = jax.vmap(table, -1, -1)(counts, levels)
  return jax.lax.platform_dependent(
    *(tables, levels), tpu=tpu_ops.look_up, default=look_up
  )


def _pil_table(counts, plane):
  """ImageOps.equalize's, which leaves out the pixels of the highest level."""
  step = (jnp.sum(counts) - counts[jnp.max(plane)]) // 255
  below = jnp.cumsum(counts) - counts
  equalized = jnp.minimum((step // 2 + below) // jnp.maximum(step, 1), 255)
  return jnp.where(step > 0, equalized, jnp.arange(256))


def _opencv_table(counts, plane):
  """cv::equalizeHist's, which leaves out the pixels of the lowest level."""
  above = jnp.cumsum(counts) - counts[jnp.min(plane)]
  equalized = jnp.round(above * (255 / jnp.maximum(above[-1], 1)))
  equalized = equalized.astype(jnp.int32)
  return jnp.where(above[-1] > 0, equalized, jnp.arange(256))


def histograms(levels):
  """As `tpu_ops.histograms`."""
  count = lambda plane: jnp.zeros(256, jnp.int32).at[plane].add(1)
  return jax.vmap(count, -1, -1)(levels)


def look_up(table, levels):
  """As `tpu_ops.look_up`."""
  of_channel = lambda table, plane: table[plane]
  return jax.vmap(of_channel, -1, -1)(table, levels).astype(jnp.float32)
