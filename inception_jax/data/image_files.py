"""Image files that belong to no split, as `predict` and `export` read them."""

import pathlib

import numpy as np

from inception_jax.data import decode
from inception_jax.data.lazy import tf
from inception_jax.data.sources import folder
from inception_jax.errors import UserError
from inception_jax.runtime import files as files_lib


def find(paths: list[str]) -> list[str]:
  """Returns `paths` with each folder replaced by the images below it.

  Raises:
    UserError: a folder has no images.
  """
  files = []
  for path in map(pathlib.Path, paths):
    if not path.is_dir():
      files.append(str(path))
      continue
    images = sorted(
      str(file)
      for file in path.rglob('*')
      if file.suffix.lower() in folder.SUFFIXES and not file.is_dir()
    )
    if not images:
      raise UserError(f'{path} has no images: {", ".join(folder.SUFFIXES)}')
    files += images
  return files


def read(path: str, data) -> np.ndarray:
  """Returns the evaluation crop of an image file: uint8 [S, S, C]."""
  encoded = tf.constant(files_lib.read(path))
  return decode.eval_image(encoded, data).numpy()
