"""Resizing a whole image on the host, as the packages of the FID do: float32.

Fractions of levels are kept. The functions of packages take uint8 [H, W, 3] and
a size S, and return float32 [S, S, 3].
"""

import numpy as np
from PIL import Image

from inception_jax.data.lazy import tf


def tf1_bilinear(image, size: int):
  """TensorFlow 1's `resize_bilinear`: 0…255, not antialiased.

  Pixel i is read at i · step, not at (i + ½) · step − ½ (align_corners and
  half_pixel_centers are false). The same as torch-fidelity's
  `interpolate_bilinear_2d_like_tensorflow1x`.
  """
  return bilinear(tf.cast(image, tf.float32), (size, size), False)


def torch_bilinear(image, size: int):
  """torchvision's `ToTensor`, then `F.interpolate`: 0…1, not antialiased.

  With mode='bilinear' and align_corners=False, as pytorch-fid calls it.
  """
  return bilinear(tf.cast(image, tf.float32) / 255, (size, size), True)


def pillow_bicubic(image, size: int):
  """Pillow's bicubic of each channel in float32, clipped: 0…255, antialiased.

  As clean-fid's `make_resizer('PIL', False, 'bicubic', …)`.
  """
  call = lambda pixels: _by_pillow(pixels, size)
  resized = tf.numpy_function(call, [image], tf.float32, stateful=False)
  return tf.ensure_shape(resized, (size, size, 3))


def bilinear(image, size, half_pixel_centers: bool):
  """Resizes float32 [H, W, C] to `size`, int32 [2]; not antialiased."""
  return tf.raw_ops.ResizeBilinear(
    images=image[None], size=size, half_pixel_centers=half_pixel_centers
  )[0]


def _by_pillow(image: np.ndarray, size: int) -> np.ndarray:
  resized = np.empty((size, size, 3), np.float32)
  for i in range(3):
    channel = Image.fromarray(image[..., i].astype(np.float32))
    filtered = channel.resize((size, size), Image.Resampling.BICUBIC)
    resized[..., i] = np.asarray(filtered).clip(0, 255)
  return resized
