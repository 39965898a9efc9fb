"""Image files that belong to no split, as `predict` and `export` read them."""

import pathlib

import numpy as np

from inception_jax.data.sources import folder
from inception_jax.errors import UserError


def find(paths: list[str]) -> list[str]:
  """Returns `paths` with each folder replaced by the images below it.

  Raises:
    UserError: a folder has no images.
  """
  files = []
  for path in map(pathlib.Path, paths):
    if path.is_dir():
      images = sorted(
        str(file)
        for file in path.rglob('*')
        if file.suffix.lower() in folder.SUFFIXES and file.is_file()
      )
      if not images:
        raise UserError(f'{path} has no images: {", ".join(folder.SUFFIXES)}')
      files += images
    else:
      files.append(str(path))
  return files


def read(path: str, data) -> np.ndarray:
  """Reads a file as the evaluation crop of its image: uint8 [S, S, C].

  Args:
    path: the image file.
    data: preprocessing settings with the keys of `config.data`.
  """
  import tensorflow as tf

  from inception_jax.data import decode

  with open(path, 'rb') as file:
    return decode.eval_image(tf.constant(file.read()), data).numpy()
