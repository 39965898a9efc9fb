"""Decoding what TensorFlow cannot, by Pillow."""

import io

import numpy as np
from PIL import Image
from PIL import ImageOps
from PIL import UnidentifiedImageError

from inception_jax.data.lazy import tf

_FORMATS = ('BMP', 'TIFF', 'JPEG2000', 'AVIF', 'JPEG')
# Tags of a TIFF, the second of which says by 0 that the lowest level is white.
_BITS, _PHOTOMETRIC = 258, 262


def in_graph(
  encoded, limit: int, background: bytes | None = None, upright: bool = False
):
  """Returns what `decode` does of a scalar string, in TensorFlow's graph."""
  call = lambda file: decode(file, limit, background, upright)
  return tf.numpy_function(call, [encoded], tf.uint8, stateful=False)


def decode(
  encoded, limit: int, background: bytes | None, upright: bool
) -> np.ndarray:
  """Returns the first page or frame: uint8 [H, W, 3].

  A TIFF is turned upright in any case, since Pillow does not read it otherwise.

  Args:
    encoded: the bytes of a file, as `tf.numpy_function` passes them.
    limit: the most pixels, width × height.
    background: the color under transparent pixels, three bytes; None: alpha is
      dropped.
    upright: whether the orientation of an AVIF or JPEG is applied.

  Raises:
    ValueError: it has more pixels, or pixels of another type.
    Exception: what Pillow raises for damaged files, of any type.
  """
  # Outside of a graph, numpy_function passes a scalar as an array.
  file = io.BytesIO(np.asarray(encoded, object).item())
  try:
    opened = Image.open(file, formats=_FORMATS)
  except UnidentifiedImageError:  # whose message names `file`
    raise ValueError('damaged, or of a kind that Pillow cannot read') from None
  with opened as image:
    return to_rgb(image, limit, background, upright)


def to_rgb(
  image: Image.Image, limit: int, background: bytes | None, upright: bool
) -> np.ndarray:
  """Returns an image of Pillow's, maybe not loaded yet, as `decode` does."""
  width, height = image.size
  if width * height > limit:
    raise ValueError(f'{width}×{height} is more than data.max_pixels={limit}')
  if image.mode in ('F', 'I'):
    raise ValueError(
      'pixels of 32 bits, signed or of floating point are not read: convert '
      'them to 8 or 16 bits'
    )
  image = of_8_bits(image)
  if upright:
    image = ImageOps.exif_transpose(image)
  if background is not None and image.has_transparency_data:
    under = Image.new('RGBA', image.size, tuple(background))
    image = Image.alpha_composite(under, image.convert('RGBA'))
  return np.asarray(image.convert('RGB'))


def of_8_bits(image: Image.Image) -> Image.Image:
  """Returns the upper 8 of 16 or 12 bits; images with 8 bits unchanged.

  As TensorFlow reads a PNG. Pillow's own conversion clips to 255.
  """
  if not image.mode.startswith('I;16'):
    return image
  tags = getattr(image, 'tag_v2', {})
  bits = tags.get(_BITS, (16,))[0]
  levels = (np.asarray(image) >> (bits - 8)).astype(np.uint8)
  if tags.get(_PHOTOMETRIC) == 0:
    levels = 255 - levels
  result = Image.fromarray(levels)
  result.info = image.info
  return result
