"""Images that a program holds, prepared as evaluation prepares a split's."""

from collections.abc import Iterator
from collections.abc import Sequence
from concurrent import futures
import contextlib
import os
from typing import Any

import numpy as np
from PIL import Image

from inception_jax.data import bad_images
from inception_jax.data import choices
from inception_jax.data import decode
from inception_jax.data import image_files
from inception_jax.data import pillow
from inception_jax.data import pipeline
from inception_jax.data.augment import transforms
from inception_jax.data.lazy import tf
from inception_jax.errors import UserError
from inception_jax.errors import shorten

One = str | os.PathLike[str] | bytes | Image.Image | np.ndarray
Images = One | Sequence[One]


def prepare(images: Images, data) -> np.ndarray:
  """Returns normalized evaluation crops: float32 [B, S, S, C].

  Args:
    images: as in `models.card.Card.preprocess`, which has the details.
    data: `config.data`, resolved.

  Raises:
    UserError: what cannot be read, a line for each.
  """
  named = list(_named(images))
  if not named:
    raise UserError('there are no images to prepare')
  # Where a program has used TensorFlow's GPUs, they are no longer hidden.
  with contextlib.suppress(RuntimeError):
    pipeline.hide_gpus()

  def crop(image) -> np.ndarray | Exception:
    try:
      with tf.device('CPU'):
        return _crop(image, data)
    except OSError as error:
      return ValueError(error.strerror or str(error))
    except Exception as error:  # each decoder raises its own
      return error

  with futures.ThreadPoolExecutor() as pool:
    crops = list(pool.map(crop, (image for _, image in named)))
  faults = [
    f'{name}: {bad_images.one_line(found)}'
    for (name, _), found in zip(named, crops, strict=True)
    if isinstance(found, Exception)
  ]
  if faults:
    raise UserError(*shorten(faults))
  return transforms.normalize(np.stack(crops), data)


def _named(images: Any) -> Iterator[tuple[str, Any]]:
  """Yields (name in messages, image) of each image."""
  if isinstance(images, str | os.PathLike):
    yield os.fspath(images), images
  elif isinstance(images, list | tuple) or getattr(images, 'ndim', 0) == 4:
    for i, image in enumerate(images):
      is_path = isinstance(image, str | os.PathLike)
      yield (os.fspath(image) if is_path else f'image {i}'), image
  else:
    yield 'image', images


def _crop(image: Any, data) -> np.ndarray:
  """Returns the evaluation crop of one image: uint8 [S, S, C]."""
  if isinstance(image, str | os.PathLike):
    return image_files.read(os.fspath(image), data)
  if isinstance(image, bytes | bytearray | memoryview):
    return decode.eval_image(tf.constant(bytes(image)), data).numpy()
  if isinstance(image, Image.Image):
    image = pillow.to_rgb(
      image,
      data.max_pixels,
      choices.rgb(data.background),
      upright=data.exif == 'apply',
    )
  return decode.eval_image(tf.constant(_pixels(image)), data).numpy()


def _pixels(image: Any) -> np.ndarray:
  """Returns an array of pixels, or raises ValueError."""
  if not hasattr(image, 'dtype'):
    raise ValueError(
      f'{type(image).__name__}, expected a path, bytes, a PIL image or pixels'
    )
  pixels = np.asarray(image)
  if pixels.dtype != np.uint8:
    raise ValueError(f'{pixels.dtype} values, expected uint8 of 0 to 255')
  if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3) or not pixels.size:
    raise ValueError(
      f'an array of shape {list(pixels.shape)}, expected [H, W, 3] or [H, W, 1]'
    )
  return pixels
