"""Decoding what TensorFlow cannot, by Pillow."""

import io

import numpy as np
from PIL import Image
from PIL import ImageOps

_FORMATS = ('BMP', 'TIFF', 'JPEG2000', 'AVIF')
_BITS = 258  # the tag of a TIFF
_INVERTED = 262, 0  # and the one whose value 0 says that 0 is white


def decode(
  encoded, limit: int, background: bytes | None, upright: bool
) -> np.ndarray:
  """Returns the first page or frame: uint8 [H, W, 3].

  Of 16 bits, the upper 8 are taken, as TensorFlow does of a PNG. A TIFF is
  turned upright in any case, since Pillow does not open it otherwise.

  Args:
    encoded: the bytes of a file, as `tf.numpy_function` passes them.
    limit: the most pixels, width × height.
    background: the color under transparent pixels, three bytes; None: alpha is
      dropped.
    upright: whether the orientation of an AVIF is applied.

  Raises:
    ValueError: it has more pixels, or pixels of another type.
    Exception: what Pillow raises for damaged files, of any type.
  """
  # Outside of a graph, numpy_function passes a scalar as an array.
  file = io.BytesIO(np.asarray(encoded, object).item())
  with Image.open(file, formats=_FORMATS) as image:
    width, height = image.size
    if width * height > limit:
      raise ValueError(f'{width}×{height} is more than data.max_pixels={limit}')
    if image.mode in ('F', 'I'):
      raise ValueError(
        'pixels of 32 bits, signed or of floating point are not read: convert '
        'them to 8 or 16 bits'
      )
    if image.mode.startswith('I;16'):
      return _of_16_bits(image)
    if upright:
      image = ImageOps.exif_transpose(image)
    if background is not None and image.has_transparency_data:
      under = Image.new('RGBA', image.size, tuple(background))
      image = Image.alpha_composite(under, image.convert('RGBA'))
    return np.asarray(image.convert('RGB'))


def _of_16_bits(image: Image.Image) -> np.ndarray:
  tags = getattr(image, 'tag_v2', {})
  (bits,) = tags.get(_BITS, (16,))
  levels = (np.asarray(image) >> (bits - 8)).astype(np.uint8)
  if tags.get(_INVERTED[0]) == _INVERTED[1]:
    levels = 255 - levels
  return np.repeat(levels[..., None], 3, axis=-1)
