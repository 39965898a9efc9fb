"""The operations of AutoAugment's family on one image, in JAX.

An image is float32 [H, W, C] of whole numbers in 0…255, and stays so: each
operation computes what PIL does with uint8, but for those that move pixels,
which interpolate bilinearly.
"""

import jax
import jax.numpy as jnp
from jax.scipy import ndimage

from inception_jax.data.augment import tpu_ops

# The first five move pixels, the next four blend with another image.
NAMES = (
  'shear_x',
  'shear_y',
  'translate_x',
  'translate_y',
  'rotate',
  'brightness',
  'color',
  'contrast',
  'sharpness',
  'posterize',
  'solarize',
  'autocontrast',
  'equalize',
  'identity',
)

SIGNED = frozenset(NAMES[:9])


def apply(image, name, level, fill):
  """One operation, chosen by data: XLA computes each family once.

  Args:
    image: float32 [H, W, C].
    name: int32 scalar, index into `NAMES`.
    level: float32 scalar: pixels across a pixel of the other axis, pixels,
      degrees; 1 + level is the factor of a blend; bits that are kept; the
      threshold of solarize, where 0 inverts the whole image.
    fill: float32 [C], for what comes from outside of the image.
  """
  is_ = lambda *names: jnp.isin(
    name, jnp.array([NAMES.index(n) for n in names])
  )
  return jnp.select(
    [
      is_(*NAMES[:5]),
      is_(*NAMES[5:9]),
      is_('posterize'),
      is_('solarize'),
      is_('autocontrast'),
      is_('equalize'),
    ],
    [
      jnp.round(warp(image, _motion(name, level), fill)),
      _blend(_plain(image, name), image, 1 + level),
      _posterize(image, level),
      jnp.where(image < level, image, 255 - image),
      _autocontrast(image),
      _equalize(image),
    ],
    image,
  )


def grey(x):
  """Luma of ITU-R BT.601, keeping the channel axis; grey is its own."""
  if x.shape[-1] == 1:
    return x
  weights = jnp.asarray([0.299, 0.587, 0.114], jnp.float32)
  return jnp.sum(x * weights, axis=-1, keepdims=True)


def warp(image, motion, fill):
  """Moves the pixels of an image, interpolating bilinearly.

  Args:
    image: float32 [H, W, C] of whole numbers, 0…255.
    motion: (matrix [2, 2], pivot [2] in shares of the size, offset [2] in
      pixels), in (row, column): what is at p comes from matrix · (p − pivot)
      + pivot + offset.
    fill: float32 [C], for what comes from outside of the image.
  """
  matrix, pivot, offset = motion
  size = jnp.asarray(image.shape[:2], jnp.float32)
  pivot = (pivot * size - 0.5)[:, None, None]
  grid = jnp.stack(
    jnp.meshgrid(*map(jnp.arange, image.shape[:2]), indexing='ij')
  )
  # TPUs would round to half a pixel, GPUs to a tenth.
  source = jnp.einsum(
    'ij,jhw->ihw', matrix, grid - pivot, precision=jax.lax.Precision.HIGHEST
  )
  source = source + pivot + offset[:, None, None]
  return jax.lax.platform_dependent(
    *(image, source, fill), tpu=tpu_ops.interpolate, default=interpolate
  )


def interpolate(image, source, fill):
  """As `tpu_ops.interpolate`, of any numbers."""
  plane = lambda x: ndimage.map_coordinates(x, list(source), 1, 'constant')
  return jax.vmap(plane, -1, -1)(image - fill) + fill


def rotation(degrees):
  """The motion of `warp` that turns an image counter-clockwise."""
  c, s = jnp.cos(jnp.deg2rad(degrees)), jnp.sin(jnp.deg2rad(degrees))
  matrix = jnp.array([[c, s], [-s, c]])
  return matrix, jnp.array([0.5, 0.5]), jnp.zeros(2)


def _motion(name, level):
  index = jnp.minimum(name, 4)
  turned, middle, _ = rotation(level)
  unit = jnp.eye(2)
  shear_x = unit.at[1, 0].set(level)
  shear_y = unit.at[0, 1].set(level)
  matrix = jnp.stack([shear_x, shear_y, unit, unit, turned])[index]
  pivot = jnp.where(index == 4, middle, 0.0)
  offset = jnp.array([[0, 0], [0, 0], [0, level], [level, 0], [0, 0]])[index]
  return matrix, pivot, offset


def _blend(plain, image, factor):
  """PIL's Image.blend, which cuts fractions off."""
  return jnp.floor(jnp.clip(plain + factor * (image - plain), 0, 255))


def _plain(image, name):
  """What ImageEnhance's Brightness, Color, Contrast, Sharpness blend with."""
  # PIL's own integers: the usual weights in units of 2⁻¹⁶.
  if image.shape[-1] == 1:
    luma = image
  else:
    weights = jnp.asarray([19595, 38470, 7471], jnp.int32)
    luma = jnp.sum(image.astype(jnp.int32) * weights, -1, keepdims=True)
    luma = ((luma + 2**15) >> 16).astype(jnp.float32)
  everywhere = jnp.broadcast_to(jnp.floor(jnp.mean(luma) + 0.5), image.shape)
  planes = [jnp.zeros_like(image), jnp.broadcast_to(luma, image.shape)]
  planes += [everywhere, _smooth(image)]
  return jnp.select([name == i for i in range(5, 9)], planes, image)


def _smooth(image):
  """PIL's ImageFilter.SMOOTH; the outermost pixels stay as they are."""
  height, width, _ = image.shape
  shifted = lambda y, x: image[y : height - 2 + y, x : width - 2 + x]
  around = sum(shifted(y, x) for y in range(3) for x in range(3))
  inner = jnp.floor((around + 4 * shifted(1, 1)) / 13 + 0.5)
  return image.at[1:-1, 1:-1].set(inner)


def _posterize(image, bits):
  step = 2.0 ** (8 - bits)
  return jnp.floor(image / step) * step


def _autocontrast(image):
  low = jnp.min(image, (0, 1))
  high = jnp.max(image, (0, 1))
  scale = 255 / jnp.maximum(high - low, 1)
  stretched = jnp.floor(jnp.clip(image * scale - low * scale, 0, 255))
  return jnp.where(high > low, stretched, image)


def _equalize(image):
  """PIL's ImageOps.equalize: a table from the histogram of each channel."""
  levels = image.astype(jnp.int32)
  counts = jax.lax.platform_dependent(
    levels, tpu=tpu_ops.histograms, default=histograms
  )

  def table(counts, highest):
    # All pixels but those of the highest level there is.
    step = (jnp.sum(counts) - counts[highest]) // 255
    before = jnp.cumsum(counts) - counts
    spread = jnp.minimum((step // 2 + before) // jnp.maximum(step, 1), 255)
    return jnp.where(step > 0, spread, jnp.arange(256))

  tables = jax.vmap(table, -1, -1)(counts, jnp.max(levels, (0, 1)))
  return jax.lax.platform_dependent(
    *(tables, levels), tpu=tpu_ops.look_up, default=look_up
  )


def histograms(levels):
  """As `tpu_ops.histograms`."""
  count = lambda plane: jnp.zeros(256, jnp.int32).at[plane].add(1)
  return jax.vmap(count, -1, -1)(levels)


def look_up(table, levels):
  """As `tpu_ops.look_up`."""
  of_channel = lambda table, plane: table[plane]
  return jax.vmap(of_channel, -1, -1)(table, levels).astype(jnp.float32)
