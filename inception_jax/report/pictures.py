"""Pictures in a page that loads nothing."""

import base64
import io

import numpy as np


def png_url(image: np.ndarray) -> str:
  """Encodes uint8 [S, S, 1 or 3] as a data: URL of a PNG."""
  from PIL import Image

  file = io.BytesIO()
  image = image[..., 0] if image.shape[-1] == 1 else image
  Image.fromarray(image).save(file, 'png')
  return url(file.getvalue(), 'png')


def url(encoded: bytes, kind: str) -> str:
  """Returns an encoded image as a data: URL; `kind` is 'png' or 'jpeg'."""
  return f'data:image/{kind};base64,{base64.b64encode(encoded).decode()}'
