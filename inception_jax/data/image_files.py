"""Images in files of their own, outside of any split."""

import pathlib

import numpy as np

from inception_jax.data.sources import folder
from inception_jax.errors import UserError


def find(paths: list[str]) -> list[str]:
  """The files among `paths`, and the images in the folders among them.

  Raises:
    UserError: a folder has none.
  """
  found = []
  for path in map(pathlib.Path, paths):
    if path.is_dir():
      inside = sorted(
        str(file)
        for file in path.rglob('*')
        if file.suffix.lower() in folder.SUFFIXES and file.is_file()
      )
      if not inside:
        raise UserError(f'{path} has no images: {", ".join(folder.SUFFIXES)}')
      found += inside
    else:
      found.append(str(path))
  return found


def read(path: str, data) -> np.ndarray:
  """What an evaluation looks at of it: uint8 [S, S, C].

  Args:
    path: of the file.
    data: as `card.data_of` has it.
  """
  import tensorflow as tf

  from inception_jax.data import decode

  with open(path, 'rb') as file:
    return decode.eval_image(tf.constant(file.read()), data).numpy()
